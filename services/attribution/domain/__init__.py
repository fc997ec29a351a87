"""Pure decisions: no input or output, no messages, no clock."""
