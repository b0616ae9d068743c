"""What a user wrote (YAML and SQL), read once, validated whole, and turned into plain values."""
