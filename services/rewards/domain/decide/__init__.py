"""Deciding: a plan and the facts of one conversion become decisions, each with every step on the way."""
