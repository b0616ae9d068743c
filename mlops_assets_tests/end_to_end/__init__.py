"""The whole platform, run as people run it."""
