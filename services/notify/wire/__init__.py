"""Between the contracts and the domain; total and pure."""
