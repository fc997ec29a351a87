"""Links, codes, shares, and clicks in day partitions."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE link (
    program_id text NOT NULL,
    link_id text NOT NULL,
    link_number bigint GENERATED ALWAYS AS IDENTITY,
    participant_id text NOT NULL,
    destination_url text NOT NULL,
    channel text NOT NULL,
    campaign text NOT NULL,
    utm_source text NOT NULL,
    utm_medium text NOT NULL,
    utm_campaign text NOT NULL,
    utm_term text NOT NULL,
    utm_content text NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, link_id)
);
CREATE INDEX link_of_participant ON link (program_id, participant_id, link_number);

CREATE TABLE code (
    program_id text NOT NULL,
    code text NOT NULL CHECK (code = upper(code)),
    code_number bigint GENERATED ALWAYS AS IDENTITY,
    participant_id text NOT NULL,
    channel text NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (program_id, code)
);
CREATE INDEX code_of_participant ON code (program_id, participant_id, code_number);

CREATE TABLE share (
    share_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id text NOT NULL,
    participant_id text NOT NULL,
    channel text NOT NULL,
    link_id text NOT NULL,
    code text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX share_by_time ON share (program_id, create_time);

CREATE TABLE share_count (
    program_id text NOT NULL,
    participant_id text NOT NULL,
    channel text NOT NULL,
    share_count bigint NOT NULL,
    PRIMARY KEY (program_id, participant_id, channel)
);

-- No foreign keys: the intake has looked every link up before it acknowledges a click, and a check a row would
-- halve what the writer can take.
CREATE TABLE click (
    click_id uuid NOT NULL,
    program_id text NOT NULL,
    link_id text NOT NULL,
    visitor_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    ip_hash bytea NOT NULL,
    user_agent_hash bytea NOT NULL,
    referrer_host text NOT NULL,
    PRIMARY KEY (click_id)
) PARTITION BY RANGE (click_id);
CREATE INDEX click_of_visitor ON click (program_id, visitor_id, click_id) WHERE visitor_id <> '';
"""

# The service may add and drop whole days through these functions; it owns no table, and cannot change a click.
FUNCTIONS = """
CREATE FUNCTION click_day_bound(day date) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT AS $$
    -- The first 48 bits of a UUIDv7 are its time in milliseconds.
    SELECT CAST(lpad(to_hex((day - DATE '1970-01-01')::bigint * 86400000), 12, '0') || repeat('0', 20) AS uuid)
$$;

CREATE FUNCTION ensure_click_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    partition text := 'click_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF day NOT BETWEEN DATE '2000-01-01' AND DATE '2199-12-31' THEN
        RAISE EXCEPTION 'no clicks are kept for %', day;
    END IF;
    IF to_regclass(format('{schema}.%I', partition)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema}.click partitions', 0));
    -- Asked of the table itself: to_regclass would repeat what it remembers from before the wait for the lock.
    IF EXISTS (SELECT FROM pg_class WHERE relname = partition AND relnamespace = '{schema}'::regnamespace) THEN
        RETURN;
    END IF;
    -- Made on its own and attached then: CREATE TABLE … PARTITION OF would lock all readers and writers out meanwhile.
    EXECUTE format('CREATE TABLE %I (LIKE click INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', partition);
    EXECUTE format('ALTER TABLE click ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   partition, click_day_bound(day), click_day_bound(day + 1));
END
$$;

CREATE FUNCTION drop_click_partitions(first_kept_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    partition text;
    dropped integer := 0;
BEGIN
    -- Attribution windows are usually shorter than this, and a slip of the retention setting must not cost them.
    IF first_kept_day > current_date - 30 THEN
        RAISE EXCEPTION 'clicks younger than 30 days are kept';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema}.click partitions', 0));
    FOR partition IN
        SELECT child.relname FROM pg_inherits
        JOIN pg_class child ON child.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent = 'click'::regclass
          AND child.relname < 'click_' || to_char(first_kept_day, 'YYYYMMDD')
        ORDER BY child.relname
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
"""

GRANTS = """
GRANT SELECT, INSERT ON link, code, share, click TO {role};
GRANT SELECT, INSERT, UPDATE ON share_count TO {role};
REVOKE ALL ON FUNCTION ensure_click_partition(date), drop_click_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_click_partition(date), drop_click_partitions(date) TO {role};
"""


def upgrade() -> None:
    """Creates the tables and what looks after their partitions."""
    for part in (TABLES, FUNCTIONS, GRANTS):
        op.execute(part.format(schema="attribution", role="upline_attribution"))
