"""Looks at everything the stack needs and says what to do where something is wrong."""
