-- Run by `upline migrate` after the migrations, every time. Writers are numbers of transactions, which are the server's
-- own. In a database that was restored on another server, they may be of transactions yet to come there, and an audit
-- would take old rows for new ones for months. Writers are counted on from the highest of them then, and the next audit
-- begins anew. Indexes tell at once that there is none, where nothing was restored.
DO $$
DECLARE
    seqscan text := current_setting('enable_seqscan');
    next bigint := txid_snapshot_xmax(txid_current_snapshot()) + coalesce((SELECT shift FROM audit_checkpoint), 0);
    highest bigint;
BEGIN
    PERFORM set_config('enable_seqscan', 'off', true);
    SELECT greatest((SELECT max(writer) FROM movement WHERE writer >= next),
        (SELECT max(writer) FROM reward_revision WHERE writer >= next),
        (SELECT max(horizon) FROM audit_checkpoint WHERE horizon > next)) INTO highest;
    PERFORM set_config('enable_seqscan', seqscan, true);
    IF highest IS NOT NULL THEN
        EXECUTE format('ALTER TABLE reward ALTER COLUMN writer SET DEFAULT txid_current() + %s', highest);
        EXECUTE format('ALTER TABLE transfer ALTER COLUMN writer SET DEFAULT txid_current() + %s', highest);
        EXECUTE format('ALTER TABLE reward_revision ALTER COLUMN writer SET DEFAULT txid_current() + %s', highest);
        INSERT INTO audit_checkpoint (shift) VALUES (highest)
            ON CONFLICT (singleton) DO UPDATE SET shift = excluded.shift, horizon = NULL;
    END IF;
END $$;
