"""The lakehouse: periods, hashes, the clock, tables that survive kills and rivals, deliveries."""
