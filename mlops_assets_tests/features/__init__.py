"""Feature tables, labels and training sets of a small project."""
