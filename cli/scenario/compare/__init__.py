"""Holds what the services say against what the file expects, one file for each noun."""
