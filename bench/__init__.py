"""Figures of the engine, each against something. Ratios are taken interleaved: both sides see the same machine."""
