"""What people do with what they earned: spend, exchange, be paid out; and what expires."""
