"""What a scenario file can say: every class is a mapping of the file, every attribute a key. docs/scenarios.md tells it to people."""
