"""What starts work: sensors, conditions, the schedule."""
