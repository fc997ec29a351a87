"""What a scenario file can say, as docs/reference/scenario-file.md tells it: a class for each mapping, an attribute for each key."""
