"""Tallies: the numbers that a program counts from conversion to conversion."""
