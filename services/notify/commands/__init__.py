"""The use cases that change something: one function each, which owns its transaction."""
