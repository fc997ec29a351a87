"""Alembic's entry point; `chassis.migrate` has configured the connection."""

from alembic import context

context.run_migrations()
