"""The tables of the attribution schema, as SQLAlchemy Core sees them; `migrations` creates them."""

from sqlalchemy import MetaData

from chassis.dead_letters import dead_letter_table
from chassis.idempotency import request_table
from chassis.outbox import outbox_table

metadata = MetaData()

outbox = outbox_table(metadata)
request = request_table(metadata)
dead_letter = dead_letter_table(metadata)
