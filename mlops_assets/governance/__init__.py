"""Evidence: what is recorded of one materialization, so that it can be proven and repeated."""
