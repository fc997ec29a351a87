"""The ground that every service stands on: process, server, database, outbox, streams, errors, logs and clock. It knows
no service."""
