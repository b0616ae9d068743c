"""The catalog: what there is to find, searching it, how the data looks, and what repeats."""
