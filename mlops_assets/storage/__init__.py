"""Storage: where tables, deliveries and reports lie, behind one interface that an object store can keep, too."""
