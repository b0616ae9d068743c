"""What is recorded of a materialization, so that it can be proven."""
