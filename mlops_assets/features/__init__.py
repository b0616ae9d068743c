"""Feature tables, labels and training sets: what is computed from tables as known at a time."""
