"""The three services. Each is independent of the others; they meet in `protos/` only."""
