"""Real PostgreSQL and a real nats-server from wheels, run as direct children of the process that asks for them."""
