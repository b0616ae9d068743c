"""Training, judging, registering, promoting and scoring the model of a small project."""
