"""What starts work: sensors that see deliveries and retrain, conditions that carry on, a schedule that reports."""
