"""What is measured, and against what. Ratios are taken interleaved in one run: both sides see the same machine."""
