"""Translation between contracts and domain values, total and pure."""
