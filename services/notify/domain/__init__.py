"""What notifications are: pure, no I/O."""
