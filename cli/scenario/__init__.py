"""Scenarios: a program played through a real stack, step by step, and held against what its file expects."""
