"""Drift, performance, estimation, attribution, retrain policy and reports."""
