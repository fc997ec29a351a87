"""Pure decisions: no I/O, no contracts, no clock."""
