"""The use cases that only read: one function each."""
