"""Tests of ingestion and the publisher."""
