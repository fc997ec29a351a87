"""The use cases that change something: one async function each."""
