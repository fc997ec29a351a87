"""Runs inside chassis.migrate, which has configured connection and schema."""

from alembic import context

context.run_migrations()
