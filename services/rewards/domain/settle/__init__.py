"""Decisions become postings: rewards, what refunds take back, what waits, and programs whose facts are decided one after the other."""
