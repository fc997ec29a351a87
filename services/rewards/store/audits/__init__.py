"""Audits: everything in the ledger that contradicts itself, looked for in all of it or in what is new."""
