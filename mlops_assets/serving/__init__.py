"""HTTP: features, discovery, and what people read about them."""
