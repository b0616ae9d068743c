"""Migration: a home of an earlier release brought to the format of this one, after a backup."""
