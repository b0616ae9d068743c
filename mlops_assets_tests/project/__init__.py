"""Tests of what a user wrote: YAML and SQL, read and refused."""
