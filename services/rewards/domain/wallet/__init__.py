"""Wallets: value that was earned is spent, exchanged, paid out, or expires."""
