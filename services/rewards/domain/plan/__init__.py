"""What a plan says: its rules, and the terms of everything that is paid."""
