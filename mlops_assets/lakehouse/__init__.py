"""Tables on Delta, the clock, and periods: write a partition, read as known at a moment or at a version."""
