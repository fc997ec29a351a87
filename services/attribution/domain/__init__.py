"""Pure decisions: no I/O, no proto, no clock."""
