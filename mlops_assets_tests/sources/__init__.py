"""Tests of contracts, ingestion and the publisher."""
