"""The whole system on one machine: PostgreSQL, NATS and the three services as children of this process."""
