"""The shapes of a scenario file, as docs/reference/scenario-file.md tells them: a class for each mapping, an attribute
for each key."""
