"""Figures: ours beside the peer, in the same run on the same data."""
