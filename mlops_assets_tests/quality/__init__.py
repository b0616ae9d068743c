"""Tests of contracts and expectations."""
