"""A plan: its rules, and the terms of everything that is paid."""
