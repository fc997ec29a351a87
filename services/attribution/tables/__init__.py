"""The tables of the attribution schema, as SQLAlchemy Core sees them; `migrations` creates them."""

from sqlalchemy import MetaData

from chassis.dead_letters import dead_letter_table
from chassis.idempotency import request_tables
from chassis.outbox import outbox_table

metadata = MetaData()

outbox = outbox_table(metadata)
program_request, request = request_tables(metadata)
dead_letter = dead_letter_table(metadata)
