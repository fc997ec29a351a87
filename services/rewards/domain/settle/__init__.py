"""Decisions become postings: rewards, clawbacks, waits, and programs whose facts are decided one after the other."""
