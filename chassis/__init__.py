"""What every service stands on: server, database, outbox, streams, errors, telemetry, clock. Knows no service."""
