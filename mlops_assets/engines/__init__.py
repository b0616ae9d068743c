"""Engines run SQL, keep states of rows, and look up features as known at a time; every engine answers alike."""
