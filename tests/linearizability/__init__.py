"""Histories of concurrent calls, recorded by their clients as a stack is harmed, for a checker of linearizability."""
