"""Between contracts and domain values: total and pure."""
