"""Alembic's entry point; `chassis.migrate` has set the context up."""

from alembic import context

context.run_migrations()
