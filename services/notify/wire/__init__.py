"""Messages into values and values into messages; total and pure."""
