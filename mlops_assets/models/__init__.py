"""Models: templates, training, fair comparison, registry, scoring."""
