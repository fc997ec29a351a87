-- Run by `upline migrate` after the migrations, every time. Causes remember the transactions that wrote them, for live
-- inboxes to compare snapshots; the numbers are the server's own. In a database that was restored on another server,
-- they may be of transactions yet to come: such entries would be hidden now, and told as new years later. 3 is the
-- oldest number there is: written long ago.
UPDATE cause SET writer = '3', writer_horizon = '3' WHERE writer >= pg_snapshot_xmax(pg_current_snapshot());
