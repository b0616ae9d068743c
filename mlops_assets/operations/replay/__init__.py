"""Replay: the past lived through once more, on a real Dagster instance, with the sensors of production."""
