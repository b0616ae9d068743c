"""From YAML to assets and checks."""
