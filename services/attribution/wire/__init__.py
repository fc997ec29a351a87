"""Between proto and domain."""
