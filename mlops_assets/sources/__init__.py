"""Sources: reading a delivery against its contract, bringing it into the lakehouse, and the example's publisher."""
