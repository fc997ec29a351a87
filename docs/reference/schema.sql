-- The tables of Upline, each service's in a schema of its own, as `upline migrate` leaves them.
-- Written by `make schema` from a migrated database. Partitions are left out: they are made as time goes on.
-- What the services' roles may do stands in services/*/migrations/privileges.toml.

CREATE SCHEMA attribution;
SET search_path = attribution;

-- Keys of conversions.
CREATE SEQUENCE conversion_key_seq;

-- Keys of participants.
CREATE SEQUENCE participant_key_seq;

-- Keys of reversals.
CREATE SEQUENCE reversal_key_seq;

-- The revision of the schema.
CREATE TABLE alembic_version (
    -- The newest migration that was run.
    version_num character varying(32) NOT NULL,
    PRIMARY KEY (version_num)
);

-- Clicks, each once: the id is a UUIDv7, so a range of ids is a range of time. Partitioned by days.
CREATE TABLE click (
    -- The click's id: the time in milliseconds, then random bits.
    click_id uuid NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- The link that was followed.
    link_id text NOT NULL,
    -- The visitor's id in the caller's first-party cookie; empty for none.
    visitor_id text NOT NULL,
    -- When it happened.
    occurred_at timestamp with time zone NOT NULL,
    -- A keyed hash of the visitor's address.
    ip_hash bytea NOT NULL,
    -- A keyed hash of the browser's name of itself.
    user_agent_hash bytea NOT NULL,
    -- The host that the visitor came from; empty where it is not known.
    referrer_host text NOT NULL,
    -- Whether it was a visit: its number in ClickKind of the contract. Stated in every row; it may be NULL in copies
    -- that the version before makes of the table during an upgrade.
    kind smallint DEFAULT 0,
    PRIMARY KEY (click_id)
) PARTITION BY RANGE (click_id);
CREATE INDEX click_of_visitor ON click (program_id, visitor_id, click_id) WHERE visitor_id <> ''::text;

-- Referral codes.
CREATE TABLE code (
    -- The program.
    program_id text NOT NULL,
    -- The code in its one normalised spelling.
    code text NOT NULL,
    -- The order in which codes were made.
    code_number bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- Whose code it is.
    participant_id text NOT NULL,
    -- Where the owner shares it.
    channel text NOT NULL,
    -- When it was made.
    create_time timestamp with time zone NOT NULL,
    -- What the owner gives away of a reward: an exact decimal in percent, empty for no choice.
    share_percent text NOT NULL DEFAULT ''::text,
    PRIMARY KEY (program_id, code),
    CHECK (code = upper(code))
);
CREATE INDEX code_of_participant ON code (program_id, participant_id, code_number);

-- Conversions as they were recorded, and who is credited for each.
CREATE TABLE conversion (
    -- The key inside the schema, taken from its sequence before the insert: rows go in by id, keys follow the order of
    -- the call.
    conversion_key bigint NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- The caller's id.
    conversion_id text NOT NULL,
    -- A hash of what the caller sent, before defaults were filled in.
    body_hash bytea NOT NULL,
    -- The kind of the conversion, such as order.
    event_type text NOT NULL,
    -- The buyer.
    buyer_id text NOT NULL,
    -- Minor units of the program's currency.
    amount_minor bigint NOT NULL,
    -- When it happened.
    occurred_at timestamp with time zone NOT NULL,
    -- The caller's whole report as an encoded ConversionDraft, defaults filled in.
    draft bytea NOT NULL,
    -- Who is credited; empty for nobody.
    referrer_id text NOT NULL,
    -- Why: its number in AttributionReason of the contract.
    reason smallint NOT NULL,
    -- The link by which the referrer was found; empty where it was none.
    link_id text NOT NULL,
    -- The code by which the referrer was found; empty where it was none.
    code text NOT NULL,
    -- The channel of the link or code.
    channel text NOT NULL,
    -- The campaign of the link.
    campaign text NOT NULL,
    -- The candidates that were not credited, as an encoded Attribution; NULL for none.
    losers bytea,
    -- Minor units that reversals have undone so far.
    reversed_minor bigint NOT NULL DEFAULT 0,
    -- Whether nothing of it is left.
    reversed boolean NOT NULL DEFAULT false,
    -- When it was recorded.
    create_time timestamp with time zone NOT NULL,
    PRIMARY KEY (conversion_key),
    UNIQUE (program_id, conversion_id),
    CHECK (amount_minor >= 0),
    CHECK (reversed_minor >= 0 AND reversed_minor <= amount_minor)
);
CREATE INDEX conversion_by_buyer ON conversion (program_id, buyer_id, conversion_key);
CREATE INDEX conversion_by_program ON conversion (program_id, conversion_key);
CREATE INDEX conversion_unattributed ON conversion (program_id, conversion_key) WHERE referrer_id = ''::text;

-- Messages that a consumer failed on, counted; those with a park_time are set aside and wait for a person.
CREATE TABLE dead_letter (
    -- The consumer that failed.
    consumer text NOT NULL,
    -- The message's id, or its stream and sequence where it has none.
    message_id text NOT NULL,
    -- The subject under which it was published.
    subject text NOT NULL,
    -- The encoded message.
    payload bytea NOT NULL,
    -- The error of the last try.
    error text NOT NULL,
    -- How often it was tried.
    attempts integer NOT NULL DEFAULT 1,
    -- When it failed first.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    -- When it failed last.
    update_time timestamp with time zone NOT NULL DEFAULT now(),
    -- When it was set aside; NULL while it is still tried.
    park_time timestamp with time zone,
    PRIMARY KEY (consumer, message_id)
);
CREATE INDEX dead_letter_parked ON dead_letter (park_time, message_id) WHERE park_time IS NOT NULL;

-- Facts that were recorded and published, and that a reader did not have: their events are published again until it
-- has.
CREATE TABLE gap (
    -- The reader: its durable consumer.
    consumer text NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- The event that tells of the fact.
    event_id text NOT NULL,
    -- The row of the outbox that holds the event.
    outbox_id bigint NOT NULL,
    -- When it was found missing.
    find_time timestamp with time zone NOT NULL DEFAULT now(),
    -- How often its event was published again.
    attempts integer NOT NULL DEFAULT 0,
    -- When its event was published again last; NULL before.
    publish_time timestamp with time zone,
    -- Whether the reader has it as a dead letter.
    set_aside boolean NOT NULL DEFAULT false,
    -- When it was found that the reader has the fact; NULL while it has not.
    close_time timestamp with time zone,
    PRIMARY KEY (consumer, program_id, event_id)
);
CREATE INDEX gap_open ON gap (outbox_id) WHERE close_time IS NULL;

-- Referral links. A row never changes, so caches may hold it.
CREATE TABLE link (
    -- The program.
    program_id text NOT NULL,
    -- The link's id, part of its address.
    link_id text NOT NULL,
    -- The order in which links were made.
    link_number bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- Whose link it is.
    participant_id text NOT NULL,
    -- Where it leads.
    destination_url text NOT NULL,
    -- Where the owner shares it.
    channel text NOT NULL,
    -- The campaign that it belongs to.
    campaign text NOT NULL,
    -- The parameter utm_source of the address it leads to; empty for none.
    utm_source text NOT NULL,
    -- The parameter utm_medium; empty for none.
    utm_medium text NOT NULL,
    -- The parameter utm_campaign; empty for none.
    utm_campaign text NOT NULL,
    -- The parameter utm_term; empty for none.
    utm_term text NOT NULL,
    -- The parameter utm_content; empty for none.
    utm_content text NOT NULL,
    -- When it was made.
    create_time timestamp with time zone NOT NULL,
    -- What the owner gives away of a reward: an exact decimal in percent, empty for no choice.
    share_percent text NOT NULL DEFAULT ''::text,
    PRIMARY KEY (program_id, link_id)
);
CREATE INDEX link_of_participant ON link (program_id, participant_id, link_number);

-- Messages for the broker, written in the transaction of the facts that they tell of.
CREATE TABLE outbox (
    -- The order of publication.
    outbox_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- The subject under which it is published.
    subject text NOT NULL,
    -- By it the broker drops a message that it has already.
    message_id text NOT NULL,
    -- The full name of the protobuf message.
    message_type text NOT NULL,
    -- The encoded message.
    payload bytea NOT NULL,
    -- When it was written.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    -- When the broker acknowledged it; NULL while it waits.
    publish_time timestamp with time zone,
    PRIMARY KEY (outbox_id)
);
CREATE INDEX outbox_unpublished ON outbox (outbox_id) WHERE publish_time IS NULL;
CREATE INDEX outbox_unpublished_by_subject ON outbox (subject, outbox_id) WHERE publish_time IS NULL;

-- People in programs, with the tree of sponsors above them. A sponsor, once there, never changes.
CREATE TABLE participant (
    -- The key inside the schema, taken from its sequence before the insert: rows of one batch name one another by it.
    participant_key bigint NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- The platform's id of the person.
    participant_id text NOT NULL,
    -- What the platform says of the person, by name; plans may ask for it.
    attributes jsonb NOT NULL,
    -- A hash of what the caller said at the enrolment; NULL for those whom a purchase enrolled.
    draft_hash bytea,
    -- The participant who brought this one; NULL for nobody.
    sponsor_key bigint,
    -- Keys of the nearest ancestors, nearest first, at most 64: a prefix of the true list, empty exactly if there is no
    -- sponsor.
    upline bigint[] NOT NULL,
    -- When the sponsor was bound; NULL without one.
    bind_time timestamp with time zone,
    -- By what the sponsor was found: its number in BindSource of the contract; 0 without one.
    bind_source smallint NOT NULL,
    -- The link that was followed; empty where it was none.
    bind_link_id text NOT NULL,
    -- The code that was named; empty where it was none.
    bind_code text NOT NULL,
    -- The channel of the link or code.
    bind_channel text NOT NULL,
    -- The campaign of the link.
    bind_campaign text NOT NULL,
    -- When they were enrolled.
    create_time timestamp with time zone NOT NULL,
    -- What the owner of the link or code gave away of a reward, as it stood at the bind: an exact decimal in percent,
    -- empty for no choice.
    bind_share_percent text NOT NULL DEFAULT ''::text,
    -- Why the enrolment found no sponsor: its number in AttributionReason of the contract; 0 where it did, or nobody
    -- asked.
    unbound_reason smallint NOT NULL DEFAULT 0,
    -- How often the attributes were changed since the enrolment.
    attributes_revision bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (participant_key),
    UNIQUE (program_id, participant_id),
    CHECK (cardinality(upline) <= 64),
    CHECK (sponsor_key <> participant_key),
    CHECK (sponsor_key IS NULL AND cardinality(upline) = 0 OR sponsor_key = upline[1])
);
CREATE INDEX participant_by_sponsor ON participant (sponsor_key, bind_time, participant_key);
CREATE INDEX participant_by_sponsor_and_key ON participant (sponsor_key, participant_key)
    WHERE sponsor_key IS NOT NULL;

-- Programs and how each attributes.
CREATE TABLE program (
    -- The program's id.
    program_id text NOT NULL,
    -- Its name for people.
    title text NOT NULL,
    -- The currency of its conversions, ISO 4217.
    currency_code text NOT NULL,
    -- Which touch of a buyer wins: its number in Touch of the contract.
    touch smallint NOT NULL,
    -- How long after a touch a conversion is credited by it.
    touch_window interval NOT NULL,
    -- How long a referral lasts: its number in Binding of the contract.
    binding smallint NOT NULL,
    -- Who may be bound or credited for: its number in Bindable of the contract.
    bindable smallint NOT NULL,
    -- Whether a buyer who is credited to somebody is enrolled.
    enroll_buyers boolean NOT NULL,
    -- Who sponsors those that nobody brought; empty for nobody.
    default_sponsor_id text NOT NULL,
    -- Hosts that links may lead to.
    allowed_hosts text[] NOT NULL,
    -- When it was made.
    create_time timestamp with time zone NOT NULL,
    -- When it was changed last.
    update_time timestamp with time zone NOT NULL,
    -- Who is credited for what occurred before the buyer was bound: its number in CreditBeforeBinding of the contract.
    credit_before_binding smallint NOT NULL DEFAULT 0,
    -- Whether the redirect keeps a visitor id in browsers: its number in VisitorCookie of the contract.
    visitor_cookie smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (program_id)
);

-- Calls that were carried out, with their answers: a call that is repeated gets the first answer again.
CREATE TABLE program_request (
    -- The program whose own the request id is.
    program_id text NOT NULL,
    -- The method that was called.
    method text NOT NULL,
    -- The caller's id of the request.
    request_id text NOT NULL,
    -- A hash of what was asked for: the same id with another one is refused.
    body_hash bytea NOT NULL,
    -- The encoded answer; NULL only inside the transaction that carries it out.
    response bytea,
    -- When it was carried out.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, method, request_id)
);

-- How far the outbox was compared with what each reader of its stream has settled.
CREATE TABLE reconciliation (
    -- The reader: its durable consumer.
    consumer text NOT NULL,
    -- Rows of the outbox up to this one were compared: the reader has them, or they are dead letters or gaps.
    settled_id bigint NOT NULL DEFAULT 0,
    -- Rows up to this one were compared a second time.
    again_id bigint NOT NULL DEFAULT 0,
    -- When a process looked last, or said last that its round works.
    look_time timestamp with time zone NOT NULL,
    -- The round that is under way; NULL between two.
    round_id uuid,
    -- The row before the first one of which a fact was passed over, because the stream held the message that tells it;
    -- NULL where none was since the stream was made. It says nothing any more once again_id is past it.
    held_after bigint,
    -- When the stream was made that held it.
    held_made timestamp with time zone,
    PRIMARY KEY (consumer)
);

-- Calls of versions before request ids were a program's own. Only read.
CREATE TABLE request (
    -- The method that was called.
    method text NOT NULL,
    -- The caller's id of the request.
    request_id text NOT NULL,
    -- A hash of what was asked for, the program included.
    body_hash bytea NOT NULL,
    -- The encoded answer.
    response bytea,
    -- When it was carried out.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (method, request_id)
);

-- Until when rows that had lived their time were removed: what is older and not there may have been there.
CREATE TABLE retention (
    -- The name of a life in the code, which one table or several share.
    life text NOT NULL,
    -- When the last sweep began.
    sweep_time timestamp with time zone NOT NULL,
    -- Rows of before this time may be gone.
    removed_before timestamp with time zone NOT NULL,
    PRIMARY KEY (life)
);

-- Reversals as they were recorded. One that comes before its conversion waits for it.
CREATE TABLE reversal (
    -- The key inside the schema: the order in which reversals were recorded.
    reversal_key bigint NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- The caller's id.
    reversal_id text NOT NULL,
    -- The conversion that it undoes in whole or in part.
    conversion_id text NOT NULL,
    -- A hash of what the caller sent, before defaults were filled in.
    body_hash bytea NOT NULL,
    -- The caller's whole report as an encoded ReversalDraft, defaults filled in.
    draft bytea NOT NULL,
    -- Minor units that it undoes.
    amount_minor bigint NOT NULL,
    -- Minor units that it undoes by line id; empty for a conversion without lines.
    lines jsonb NOT NULL,
    -- Whether nothing of the conversion is left after it.
    completes boolean NOT NULL,
    -- Whether the conversion has not come yet.
    pending boolean NOT NULL,
    -- When it was recorded.
    create_time timestamp with time zone NOT NULL,
    PRIMARY KEY (reversal_key),
    UNIQUE (program_id, reversal_id),
    CHECK (amount_minor >= 0)
);
CREATE INDEX reversal_by_conversion ON reversal (program_id, conversion_id, reversal_key);

-- Every share of a link or code, as it happened.
CREATE TABLE share (
    -- The order of the shares.
    share_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- The program.
    program_id text NOT NULL,
    -- Who shared.
    participant_id text NOT NULL,
    -- Where it was shared.
    channel text NOT NULL,
    -- The link that was shared; empty where it was none.
    link_id text NOT NULL,
    -- The code that was shared; empty where it was none.
    code text NOT NULL,
    -- When it was recorded.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (share_id)
);
CREATE INDEX share_by_time ON share (program_id, create_time);

-- Shares added up, so that the answer to a share does not cost a count of all.
CREATE TABLE share_count (
    -- The program.
    program_id text NOT NULL,
    -- Who shared.
    participant_id text NOT NULL,
    -- Where.
    channel text NOT NULL,
    -- How often.
    share_count bigint NOT NULL,
    PRIMARY KEY (program_id, participant_id, channel)
);

-- How far each derived reader was supplied with what the outbox and the tables hold.
CREATE TABLE supply (
    -- The reader: the durable consumer of its own stream.
    consumer text NOT NULL,
    -- Where it goes on to be told what the tables hold; NULL when it was told all of it.
    history_cursor text,
    -- The row of the outbox up to which it was sent; while it is told what the tables hold, the row behind which the
    -- outbox goes on.
    sent_id bigint NOT NULL,
    -- The row up to which it has everything; NULL where it may lack some of what the tables hold.
    read_id bigint,
    -- The row up to which it has everything when nothing is left on its stream up to mark_number.
    mark_id bigint,
    -- The number of a message on its stream; NULL where none is waited for.
    mark_number bigint,
    -- When the stream was made on which it was sent.
    stream_made timestamp with time zone NOT NULL,
    -- Since when it has left as much unread as may be; NULL while it keeps up.
    behind_since timestamp with time zone,
    PRIMARY KEY (consumer)
);

-- The least id that a click of a day can have.
-- FUNCTION click_day_bound(day date) RETURNS uuid

-- Drops the partitions of the days before one, and returns how many; runs with the rights of its owner.
-- FUNCTION drop_click_partitions(first_kept_day date) RETURNS integer

-- Makes the partition of a day where it is missing; runs with the rights of its owner.
-- FUNCTION ensure_click_partition(day date) RETURNS void

CREATE SCHEMA rewards;
SET search_path = rewards;

-- Turns of facts: the order in which they were settled.
CREATE SEQUENCE settle_position;

-- The revision of the schema.
CREATE TABLE alembic_version (
    -- The newest migration that was run.
    version_num character varying(32) NOT NULL,
    PRIMARY KEY (version_num)
);

-- What the next audit of all programs goes on from; one row, or none before the first. Whoever audits all locks the
-- table.
CREATE TABLE audit_checkpoint (
    -- True: there is one row.
    singleton boolean NOT NULL DEFAULT true,
    -- Movements of this writer and of later ones are new; NULL where the next audit has to read everything.
    horizon bigint,
    -- When the last clean audit began; NULL for none.
    clean_time timestamp with time zone,
    -- When the last clean audit began that read everything; NULL for none.
    full_time timestamp with time zone,
    -- From when a process audits by itself again.
    due_time timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
    -- The program of the wallet that the samples have come to.
    sampled_program_id text NOT NULL DEFAULT ''::text,
    -- Whose wallet that is; empty where a round begins.
    sampled_participant_id text NOT NULL DEFAULT ''::text,
    -- When the samples began their round through all wallets; infinity: not yet.
    round_time timestamp with time zone NOT NULL DEFAULT 'infinity'::timestamp with time zone,
    -- When they began the round before: no wallet was looked at longer ago. infinity: there was none.
    last_round_time timestamp with time zone NOT NULL DEFAULT 'infinity'::timestamp with time zone,
    -- What writers are above the numbers of their transactions; not 0 where a restored database has numbers of another
    -- server.
    shift bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (singleton),
    CHECK (singleton)
);

-- Sums of the movements of each account, as the last clean audit found them: those that were written before its
-- horizon.
CREATE TABLE audit_sum (
    -- The program.
    program_id text NOT NULL,
    -- Whose account it is; empty for the program's own.
    participant_id text NOT NULL,
    -- The kind of the account, named by account_name.
    place smallint NOT NULL,
    -- The asset's code.
    asset text NOT NULL,
    -- Minor units of the asset.
    amount_minor numeric(40,0) NOT NULL,
    -- How many movements reached or left it.
    movement_count bigint NOT NULL,
    PRIMARY KEY (program_id, participant_id, place, asset)
);

-- Events that a hold may wait for: one that is settled before the conversion it ends the hold of is not missed.
CREATE TABLE awaited_event (
    -- The program.
    program_id text NOT NULL,
    -- The event's own id as a conversion.
    conversion_id text NOT NULL,
    -- The buyer.
    buyer_id text NOT NULL,
    -- Its event type.
    event_type text NOT NULL,
    -- The conversion that it is meant for; empty for all of the buyer's before it.
    target_id text NOT NULL,
    -- When it happened: by it the conversions before it are told.
    occurred_at timestamp with time zone NOT NULL,
    -- When it was recorded: holds that it ends, end then.
    record_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, conversion_id)
);
CREATE INDEX awaited_event_of_buyer ON awaited_event (program_id, buyer_id, event_type);

-- Balances of accounts, rolled up: an account's balance is this row and the deltas that wait.
CREATE TABLE balance (
    -- The program.
    program_id text NOT NULL,
    -- Whose account it is; empty for the program's own.
    participant_id text NOT NULL,
    -- The kind of the account, named by account_name.
    place smallint NOT NULL,
    -- The asset's code.
    asset text NOT NULL,
    -- Minor units of the asset.
    amount_minor numeric(40,0) NOT NULL,
    PRIMARY KEY (program_id, participant_id, place, asset)
);
CREATE INDEX balance_of_debtors ON balance (program_id, participant_id, asset)
    WHERE place = 5 AND amount_minor <> 0::numeric;

-- Changes of balances, added with the transfers and rolled up behind them: no payout waits for another one's balance
-- row.
CREATE TABLE balance_delta (
    -- The program.
    program_id text NOT NULL,
    -- Whose account it is; empty for the program's own.
    participant_id text NOT NULL,
    -- The kind of the account, named by account_name.
    place smallint NOT NULL,
    -- The asset's code.
    asset text NOT NULL,
    -- Minor units of the asset.
    delta_minor bigint NOT NULL
);
CREATE INDEX balance_delta_by_participant ON balance_delta (participant_id, program_id);

-- Contests that are not closed, and when they will be.
CREATE TABLE contest_due (
    -- The program.
    program_id text NOT NULL,
    -- The contest.
    contest_id text NOT NULL,
    -- When it is to be closed.
    due_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, contest_id)
);
CREATE INDEX contest_due_by_time ON contest_due (due_time);

-- Scores of contests: tallies of their own, because they are read in the order of the ranking.
CREATE TABLE contest_score (
    -- The program.
    program_id text NOT NULL,
    -- The contest.
    contest_id text NOT NULL,
    -- The participant.
    participant_id text NOT NULL,
    -- The counter that the contest ranks by.
    score bigint NOT NULL,
    -- When the last fact that changed the score was recorded: of equal scores, the earlier one is ahead.
    reach_time timestamp with time zone NOT NULL,
    -- The turn of that fact; 0 for one before turns were kept. Stated in every row; it may be NULL in copies that the
    -- version before makes of the table during an upgrade.
    reach_position bigint DEFAULT 0,
    PRIMARY KEY (program_id, contest_id, participant_id)
);
CREATE INDEX contest_ranking ON contest_score (program_id, contest_id, score DESC, reach_time, reach_position, participant_id);

-- Contests that are closed: their ranking is final. Never changed.
CREATE TABLE contest_settlement (
    -- The program.
    program_id text NOT NULL,
    -- The contest.
    contest_id text NOT NULL,
    -- The version whose prizes were posted.
    plan_version integer NOT NULL,
    -- When it was closed.
    settle_time timestamp with time zone NOT NULL,
    -- Facts with a later turn change the ranking no more.
    position bigint NOT NULL,
    PRIMARY KEY (program_id, contest_id)
);

-- Conversions that arrived. The key is the inbox: a second delivery finds it and changes nothing.
CREATE TABLE conversion (
    -- The program.
    program_id text NOT NULL,
    -- The conversion's id.
    conversion_id text NOT NULL,
    -- Minor units of the program's currency.
    amount_minor bigint NOT NULL,
    -- When attribution recorded it; NULL where a reversal came first and the conversion has not arrived.
    record_time timestamp with time zone,
    -- The version that pays for ever; 0 where none was in force.
    plan_version integer NOT NULL,
    -- The ids of its rewards differ from this one in the last two bytes only.
    first_reward_id uuid,
    -- The encoded upline.attribution.v1.ConversionRecorded; NULL until it arrives.
    event bytea,
    -- Its turn among the facts of its program when it was settled; NULL where their order made no difference.
    position bigint,
    -- The tallies as its decision saw them, JSON: [name, subject, period, value] each; NULL where its plan counts
    -- nothing.
    snapshot text,
    PRIMARY KEY (program_id, conversion_id),
    UNIQUE (first_reward_id)
);

-- Messages that a consumer failed on, counted; those with a park_time are set aside and wait for a person.
CREATE TABLE dead_letter (
    -- The consumer that failed.
    consumer text NOT NULL,
    -- The message's id, or its stream and sequence where it has none.
    message_id text NOT NULL,
    -- The subject under which it was published.
    subject text NOT NULL,
    -- The encoded message.
    payload bytea NOT NULL,
    -- The error of the last try.
    error text NOT NULL,
    -- How often it was tried.
    attempts integer NOT NULL DEFAULT 1,
    -- When it failed first.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    -- When it failed last.
    update_time timestamp with time zone NOT NULL DEFAULT now(),
    -- When it was set aside; NULL while it is still tried.
    park_time timestamp with time zone,
    -- Whether dead_letter_fact has the facts that it tells.
    facts_read boolean NOT NULL DEFAULT false,
    PRIMARY KEY (consumer, message_id)
);
CREATE INDEX dead_letter_parked ON dead_letter (park_time, message_id) WHERE park_time IS NOT NULL;
CREATE INDEX dead_letter_unread ON dead_letter (consumer, message_id) WHERE park_time IS NOT NULL AND NOT facts_read;

-- The facts that dead letters tell, which are not missing for whoever compares. They go when the letter goes.
CREATE TABLE dead_letter_fact (
    -- The consumer that failed.
    consumer text NOT NULL,
    -- The message that was set aside.
    message_id text NOT NULL,
    -- The digest of the names of a fact: BLAKE2b of 16 bytes.
    digest bytea NOT NULL,
    PRIMARY KEY (consumer, message_id, digest),
    FOREIGN KEY (consumer, message_id) REFERENCES dead_letter(consumer, message_id) ON DELETE CASCADE
);
CREATE INDEX dead_letter_fact_by_digest ON dead_letter_fact (digest);

-- Facts that arrived and take long to settle, and facts of the same programs behind them. A row leaves when its fact is
-- settled, or set aside as a dead letter.
CREATE TABLE deferred (
    -- Its place: facts of a program are settled in this order.
    deferred_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- The program.
    program_id text NOT NULL,
    -- The event that tells of the fact.
    event_id text NOT NULL,
    -- A message of the stream with this one event.
    payload bytea NOT NULL,
    -- When it was put here, by the clock of the database.
    create_time timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    -- It is not tried before this: it failed a moment ago.
    due_time timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    -- When a process took it up last; NULL before.
    claim_time timestamp with time zone,
    -- Until then a process works on it, and nobody else on its program; NULL where none does.
    claimed_until timestamp with time zone,
    -- How often a process took it up and did not give it back unharmed.
    claim_count integer NOT NULL DEFAULT 0,
    -- How often it failed. What was claimed up more often took its process with it.
    attempts integer NOT NULL DEFAULT 0,
    -- The error of the last try; NULL where none failed.
    error text,
    PRIMARY KEY (deferred_id),
    UNIQUE (program_id, event_id)
);
CREATE INDEX deferred_claimed ON deferred (program_id) WHERE claimed_until IS NOT NULL;
CREATE INDEX deferred_in_turn ON deferred (program_id, deferred_id);

-- When wallets are scanned for what expires; a wallet without a row is scanned at once.
CREATE TABLE expiring (
    -- The program.
    program_id text NOT NULL,
    -- Whose wallet it is.
    participant_id text NOT NULL,
    -- The asset's code.
    asset text NOT NULL,
    -- When to scan it next.
    check_time timestamp with time zone NOT NULL,
    -- The participant was told of what expires until then; NULL where of nothing.
    warned_until timestamp with time zone,
    PRIMARY KEY (program_id, participant_id, asset)
);
CREATE INDEX expiring_due ON expiring (program_id, asset, check_time);

-- Facts that were recorded and published, and that a reader did not have: their events are published again until it
-- has.
CREATE TABLE gap (
    -- The reader: its durable consumer.
    consumer text NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- The event that tells of the fact.
    event_id text NOT NULL,
    -- The row of the outbox that holds the event.
    outbox_id bigint NOT NULL,
    -- When it was found missing.
    find_time timestamp with time zone NOT NULL DEFAULT now(),
    -- How often its event was published again.
    attempts integer NOT NULL DEFAULT 0,
    -- When its event was published again last; NULL before.
    publish_time timestamp with time zone,
    -- Whether the reader has it as a dead letter.
    set_aside boolean NOT NULL DEFAULT false,
    -- When it was found that the reader has the fact; NULL while it has not.
    close_time timestamp with time zone,
    PRIMARY KEY (consumer, program_id, event_id)
);
CREATE INDEX gap_open ON gap (outbox_id) WHERE close_time IS NULL;

-- Holds that have not ended: a reward with this hold_until is on hold while the row is here.
CREATE TABLE hold (
    -- The program.
    program_id text NOT NULL,
    -- The conversion whose rewards are held.
    conversion_id text NOT NULL,
    -- When it ends; from the year 9000 on, a mark of hold_wait.
    due_time timestamp with time zone NOT NULL,
    -- When the conversion was recorded: the ids of its rewards begin with it.
    record_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, conversion_id, due_time)
);
CREATE INDEX hold_due ON hold (due_time);

-- What holds without an end wait for: an event of the buyer's, a person's approval. Rows outlive their holds: those
-- that a person rejected for ever, the others for UPLINE_WAIT_RETENTION_DAYS.
CREATE TABLE hold_wait (
    -- The program.
    program_id text NOT NULL,
    -- The conversion whose rewards are held.
    conversion_id text NOT NULL,
    -- A time that never comes, for each rule another; it stands in hold and reward in place of an end.
    mark timestamp with time zone NOT NULL,
    -- The rule whose rewards wait.
    rule_id text NOT NULL,
    -- The buyer of the conversion.
    buyer_id text NOT NULL,
    -- The event type that is waited for; empty for none.
    event_type text NOT NULL,
    -- When the event was recorded; NULL while it has not come.
    event_time timestamp with time zone,
    -- A person's approval: 0 not needed, 1 pending, 2 approved, 3 rejected.
    approval smallint NOT NULL,
    -- When a person decided; NULL before.
    decide_time timestamp with time zone,
    -- Why it was rejected; empty where it was not.
    reason text NOT NULL DEFAULT ''::text,
    -- The turn of the rejection among the facts of the program; NULL where there is none.
    position bigint,
    -- When the duration of the hold is over: it does not end before.
    earliest timestamp with time zone NOT NULL,
    -- When the conversion happened.
    occurred_at timestamp with time zone NOT NULL,
    -- When it was released or rejected; NULL while it is held.
    end_time timestamp with time zone,
    PRIMARY KEY (program_id, conversion_id, mark)
);
CREATE INDEX hold_wait_for_approval ON hold_wait (program_id, earliest, conversion_id)
    WHERE end_time IS NULL AND approval = 1;
CREATE INDEX hold_wait_for_event ON hold_wait (program_id, buyer_id, event_type)
    WHERE event_type <> ''::text AND event_time IS NULL;
CREATE INDEX hold_wait_ready ON hold_wait (earliest)
    WHERE end_time IS NULL AND (approval = ANY (ARRAY[0, 2])) AND (event_type = ''::text OR event_time IS NOT NULL);

-- Purchases, exchanges and gifts by the callers' ids: what was asked, and what was answered. Never changed.
CREATE TABLE operation (
    -- The program.
    program_id text NOT NULL,
    -- Which of these: its number in TransferKind of the contract.
    kind smallint NOT NULL,
    -- The caller's id.
    operation_id text NOT NULL,
    -- A hash of what was asked for.
    body_hash bytea NOT NULL,
    -- The encoded answer.
    response bytea NOT NULL,
    -- When it was done.
    create_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, kind, operation_id)
);

-- Messages for the broker, written in the transaction of the facts that they tell of.
CREATE TABLE outbox (
    -- The order of publication.
    outbox_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- The subject under which it is published.
    subject text NOT NULL,
    -- By it the broker drops a message that it has already.
    message_id text NOT NULL,
    -- The full name of the protobuf message.
    message_type text NOT NULL,
    -- The encoded message.
    payload bytea NOT NULL,
    -- When it was written.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    -- When the broker acknowledged it; NULL while it waits.
    publish_time timestamp with time zone,
    PRIMARY KEY (outbox_id)
);
CREATE INDEX outbox_unpublished ON outbox (outbox_id) WHERE publish_time IS NULL;

-- Value that leaves the system.
CREATE TABLE payout (
    -- The program.
    program_id text NOT NULL,
    -- The caller's id.
    payout_id text NOT NULL,
    -- Whose value it is.
    participant_id text NOT NULL,
    -- The asset's code.
    asset text NOT NULL,
    -- Minor units of the asset that leave the wallet.
    amount_minor bigint NOT NULL,
    -- Minor units of these that do not reach the participant.
    fee_minor bigint NOT NULL,
    -- By which method it is paid.
    method text NOT NULL,
    -- The account or card that it goes to, as the caller gave it.
    destination text NOT NULL,
    -- Its number in PayoutState of the contract.
    state smallint NOT NULL,
    -- The provider's own id; empty before it is known.
    provider_reference text NOT NULL DEFAULT ''::text,
    -- Why it failed, was rejected or came back; empty where it was not.
    reason text NOT NULL DEFAULT ''::text,
    -- How often it was handed over.
    attempts integer NOT NULL DEFAULT 0,
    -- How often this attempt was sent, as an answer may be lost.
    sends integer NOT NULL DEFAULT 0,
    -- When it is sent, or sent again; NULL where this service does not send it.
    send_time timestamp with time zone,
    -- The batch of the last attempt; empty for none.
    batch_id text NOT NULL DEFAULT ''::text,
    -- When it was asked for.
    create_time timestamp with time zone NOT NULL,
    -- When it was changed last.
    update_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, payout_id),
    CHECK (amount_minor > 0),
    CHECK (fee_minor >= 0 AND fee_minor < amount_minor)
);
CREATE INDEX payout_approved ON payout (program_id, payout_id) WHERE state = 2;
CREATE INDEX payout_by_participant ON payout (program_id, participant_id, create_time, payout_id);
CREATE INDEX payout_by_time ON payout (program_id, create_time, payout_id);
CREATE INDEX payout_open ON payout (program_id, participant_id, asset) WHERE state = ANY (ARRAY[1, 2, 3, 5]);
CREATE INDEX payout_to_send ON payout (send_time) WHERE send_time IS NOT NULL;

-- When payouts were handed over, and in which batch. Never changed.
CREATE TABLE payout_attempt (
    -- The program.
    program_id text NOT NULL,
    -- The payout.
    payout_id text NOT NULL,
    -- Counts from 1 for each payout.
    attempt integer NOT NULL,
    -- The batch; empty where it was sent to a provider.
    batch_id text NOT NULL,
    -- When it was handed over.
    create_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, payout_id, attempt)
);
CREATE INDEX payout_attempt_by_batch ON payout_attempt (program_id, batch_id, payout_id) WHERE batch_id <> ''::text;

-- Payouts that were handed over in one file. Never changed.
CREATE TABLE payout_batch (
    -- The program.
    program_id text NOT NULL,
    -- The caller's id.
    batch_id text NOT NULL,
    -- The method that it was made for; empty for all.
    method text NOT NULL,
    -- When it was made.
    create_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, batch_id)
);

-- Versions of the programs' plans. Never changed.
CREATE TABLE plan_version (
    -- The program.
    program_id text NOT NULL,
    -- Counts from 1 in each program.
    version integer NOT NULL,
    -- The currency of the program's conversions, ISO 4217.
    currency_code text NOT NULL,
    -- The encoded upline.rewards.v1.Plan.
    plan bytea NOT NULL,
    -- From when it pays; NULL for since always.
    effective_time timestamp with time zone,
    -- When it was published.
    create_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, version)
);

-- Calls that were carried out, with their answers: a call that is repeated gets the first answer again.
CREATE TABLE program_request (
    -- The program whose own the request id is.
    program_id text NOT NULL,
    -- The method that was called.
    method text NOT NULL,
    -- The caller's id of the request.
    request_id text NOT NULL,
    -- A hash of what was asked for: the same id with another one is refused.
    body_hash bytea NOT NULL,
    -- The encoded answer; NULL only inside the transaction that carries it out.
    response bytea,
    -- When it was carried out.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, method, request_id)
);

-- How far the outbox was compared with what each reader of its stream has settled.
CREATE TABLE reconciliation (
    -- The reader: its durable consumer.
    consumer text NOT NULL,
    -- Rows of the outbox up to this one were compared: the reader has them, or they are dead letters or gaps.
    settled_id bigint NOT NULL DEFAULT 0,
    -- Rows up to this one were compared a second time.
    again_id bigint NOT NULL DEFAULT 0,
    -- When a process looked last, or said last that its round works.
    look_time timestamp with time zone NOT NULL,
    -- The round that is under way; NULL between two.
    round_id uuid,
    -- The row before the first one of which a fact was passed over, because the stream held the message that tells it;
    -- NULL where none was since the stream was made. It says nothing any more once again_id is past it.
    held_after bigint,
    -- When the stream was made that held it.
    held_made timestamp with time zone,
    PRIMARY KEY (consumer)
);

-- Value that is set aside for orders, or pays a part of them.
CREATE TABLE redemption (
    -- The program.
    program_id text NOT NULL,
    -- The caller's id.
    redemption_id text NOT NULL,
    -- Whose value it is.
    participant_id text NOT NULL,
    -- The asset's code.
    asset text NOT NULL,
    -- Minor units of the asset that were set aside.
    authorized_minor bigint NOT NULL,
    -- Minor units of the asset that were taken.
    captured_minor bigint NOT NULL DEFAULT 0,
    -- Minor units of the asset that were given back of these.
    refunded_minor bigint NOT NULL DEFAULT 0,
    -- Its number in RedemptionState of the contract.
    state smallint NOT NULL,
    -- The order that it pays for.
    order_id text NOT NULL,
    -- Minor units of the program's currency: what the order costs.
    order_minor bigint NOT NULL,
    -- Minor units of the program's currency: what the value is worth for the order.
    worth_minor bigint NOT NULL,
    -- When it was authorised.
    create_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, redemption_id),
    CHECK (authorized_minor > 0),
    CHECK (captured_minor >= 0 AND captured_minor <= authorized_minor),
    CHECK (order_minor > 0),
    CHECK (refunded_minor >= 0 AND refunded_minor <= captured_minor),
    CHECK (worth_minor >= 0)
);
CREATE INDEX redemption_by_order ON redemption (program_id, order_id);
CREATE INDEX redemption_open ON redemption (program_id, participant_id, asset) WHERE state = 1;

-- What came back of redemptions. Never changed.
CREATE TABLE redemption_refund (
    -- The program.
    program_id text NOT NULL,
    -- The caller's id.
    refund_id text NOT NULL,
    -- The redemption.
    redemption_id text NOT NULL,
    -- Minor units of the asset that were asked for; 0 for all that was left.
    asked_minor bigint NOT NULL,
    -- Minor units of the asset that came back.
    amount_minor bigint NOT NULL,
    -- When it came back.
    create_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, refund_id),
    CHECK (amount_minor > 0),
    CHECK (asked_minor >= 0)
);

-- Calls of versions before request ids were a program's own. Only read.
CREATE TABLE request (
    -- The method that was called.
    method text NOT NULL,
    -- The caller's id of the request.
    request_id text NOT NULL,
    -- A hash of what was asked for, the program included.
    body_hash bytea NOT NULL,
    -- The encoded answer.
    response bytea,
    -- When it was carried out.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (method, request_id)
);

-- Until when rows that had lived their time were removed: what is older and not there may have been there.
CREATE TABLE retention (
    -- The name of a life in the code, which one table or several share.
    life text NOT NULL,
    -- When the last sweep began.
    sweep_time timestamp with time zone NOT NULL,
    -- Rows of before this time may be gone.
    removed_before timestamp with time zone NOT NULL,
    PRIMARY KEY (life)
);

-- Reversals that arrived. The key is the inbox.
CREATE TABLE reversal (
    -- The program.
    program_id text NOT NULL,
    -- The reversal's id.
    reversal_id text NOT NULL,
    -- The conversion that it undoes in whole or in part.
    conversion_id text NOT NULL,
    -- Minor units that it undoes.
    amount_minor bigint NOT NULL,
    -- Whether nothing of the conversion is left after it.
    completes boolean NOT NULL,
    -- When attribution recorded it.
    record_time timestamp with time zone NOT NULL,
    -- Its turn among all facts when it took effect.
    position bigint NOT NULL,
    -- JSON: [line id, minor units taken back] each; NULL where no lines are named.
    lines text,
    PRIMARY KEY (program_id, reversal_id),
    CHECK (amount_minor >= 0)
);
CREATE INDEX reversal_by_conversion ON reversal (program_id, conversion_id);

-- What each beneficiary earned by one rule at one level; at once the transfer that accrues it. Never changed.
-- Partitioned by months of the id.
CREATE TABLE reward (
    -- Begins with the time, then tells the conversion, the rule and the level.
    reward_id uuid NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- The conversion that it is for.
    conversion_id text NOT NULL,
    -- The rule of the plan that pays it.
    rule_id text NOT NULL,
    -- Who earned it.
    beneficiary_id text NOT NULL,
    -- The distance of the beneficiary from the buyer, who is level 0.
    level smallint NOT NULL,
    -- The asset's code.
    asset text NOT NULL,
    -- Minor units of the asset, before any revision.
    amount_minor bigint NOT NULL,
    -- When its hold ends: held while a row of hold has this time; NULL for no hold. From the year 9000 on, a mark of
    -- hold_wait.
    hold_until timestamp with time zone,
    -- The version that pays it.
    plan_version integer NOT NULL,
    -- The transaction that wrote it, from which audits tell what is new; NULL where that was before audits asked.
    writer bigint DEFAULT txid_current(),
    PRIMARY KEY (beneficiary_id, program_id, reward_id),
    CHECK (amount_minor > 0)
) PARTITION BY RANGE (reward_id);
CREATE INDEX reward_by_writer ON reward USING brin (writer) WITH (pages_per_range='32', autosummarize='on');

-- Changes of rewards after their accrual. Never changed.
CREATE TABLE reward_revision (
    -- The reward.
    reward_id uuid NOT NULL,
    -- The reversal that took back of it; empty where a person rejected it.
    reversal_id text NOT NULL,
    -- Minor units of the asset, below zero.
    delta_minor bigint NOT NULL,
    -- When the fact behind it was recorded.
    record_time timestamp with time zone NOT NULL,
    -- The transaction that wrote it, from which audits tell what is new; NULL where that was before audits asked.
    writer bigint DEFAULT txid_current(),
    PRIMARY KEY (reward_id, reversal_id),
    CHECK (delta_minor < 0)
);
CREATE INDEX reward_revision_by_writer ON reward_revision USING brin (writer) WITH (pages_per_range='32', autosummarize='on');

-- How far each derived reader was supplied with what the outbox and the tables hold.
CREATE TABLE supply (
    -- The reader: the durable consumer of its own stream.
    consumer text NOT NULL,
    -- Where it goes on to be told what the tables hold; NULL when it was told all of it.
    history_cursor text,
    -- The row of the outbox up to which it was sent; while it is told what the tables hold, the row behind which the
    -- outbox goes on.
    sent_id bigint NOT NULL,
    -- The row up to which it has everything; NULL where it may lack some of what the tables hold.
    read_id bigint,
    -- The row up to which it has everything when nothing is left on its stream up to mark_number.
    mark_id bigint,
    -- The number of a message on its stream; NULL where none is waited for.
    mark_number bigint,
    -- When the stream was made on which it was sent.
    stream_made timestamp with time zone NOT NULL,
    -- Since when it has left as much unread as may be; NULL while it keeps up.
    behind_since timestamp with time zone,
    PRIMARY KEY (consumer)
);

-- What a program counts. Changed only under the program's lock.
CREATE TABLE tally (
    -- The program.
    program_id text NOT NULL,
    -- What is counted, such as counter:id or cap:rule:scope:period.
    name text NOT NULL,
    -- For whom: a participant, a participant and a buyer, or empty for the whole program.
    subject text NOT NULL,
    -- Since when; empty for ever.
    period text NOT NULL,
    -- How many, or minor units.
    value bigint NOT NULL,
    PRIMARY KEY (subject, name, period, program_id)
);

-- Movements of value after the accrual. Never changed. Partitioned by months of the id.
CREATE TABLE transfer (
    -- Begins with the time.
    transfer_id uuid NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- Why value moved: its number in TransferKind of the contract.
    kind smallint NOT NULL,
    -- Whose accounts it is about.
    participant_id text NOT NULL,
    -- The kind of the account that it leaves, named by account_name.
    debit smallint NOT NULL,
    -- The kind of the account that it reaches, named by account_name.
    credit smallint NOT NULL,
    -- The asset's code.
    asset text NOT NULL,
    -- Minor units of the asset.
    amount_minor bigint NOT NULL,
    -- The reward that it is about; NULL where it is about none.
    reward_id uuid,
    -- The fact that caused it, such as payout:program/id.
    cause_id text NOT NULL,
    -- The participant whose account it reaches; NULL for the same participant's.
    recipient_id text,
    -- The transaction that wrote it, from which audits tell what is new; NULL where that was before audits asked.
    writer bigint DEFAULT txid_current(),
    PRIMARY KEY (transfer_id),
    CHECK (amount_minor > 0),
    CHECK (credit <> debit OR recipient_id <> participant_id)
) PARTITION BY RANGE (transfer_id);
CREATE INDEX transfer_by_participant ON transfer (program_id, participant_id, transfer_id);
CREATE INDEX transfer_by_recipient ON transfer (program_id, recipient_id, transfer_id) WHERE recipient_id IS NOT NULL;
CREATE INDEX transfer_by_writer ON transfer USING brin (writer) WITH (pages_per_range='32', autosummarize='on');

-- Movements for people: every kind and account by its name.
-- transfer_id: The transfer's id, or the reward's.
-- program_id: The program.
-- asset: The asset's code.
-- amount_minor: Minor units of the asset.
-- cause_id: The fact that caused it.
-- reward_id: The reward that it is about; NULL where it is about none.
-- kind: Why value moved.
-- debit_account: The account that it leaves.
-- credit_account: The account that it reaches.
CREATE VIEW ledger AS
 SELECT transfer_id,
    program_id,
    asset,
    amount_minor,
    cause_id,
    reward_id,
    (ARRAY['accrual'::text, 'release'::text, 'reversal'::text, 'debt_settlement'::text, 'rejection'::text, 'authorization'::text, 'capture'::text, 'void'::text, 'redemption_refund'::text, 'purchase'::text, 'exchange'::text, 'gift'::text, 'payout_request'::text, 'payout'::text, 'payout_fee'::text, 'payout_return'::text, 'expiry'::text, 'prize'::text, 'payout_bounce'::text])[kind] AS kind,
    account_name(debit, participant_id) AS debit_account,
    account_name(credit, COALESCE(recipient_id, participant_id)) AS credit_account
   FROM movement;

-- Every movement of value: a reward is its own accrual, and what moves later is a transfer.
-- transfer_id: The transfer's id, or the reward's.
-- program_id: The program.
-- kind: Why value moved: its number in TransferKind of the contract.
-- participant_id: Whose accounts it is about.
-- debit: The kind of the account that it leaves, named by account_name.
-- credit: The kind of the account that it reaches, named by account_name.
-- asset: The asset's code.
-- amount_minor: Minor units of the asset.
-- reward_id: The reward that it is about; NULL where it is about none.
-- cause_id: The fact that caused it, such as conversion:program/id.
-- recipient_id: The participant whose account it reaches; NULL for the same participant's.
-- writer: The transaction that wrote it; NULL where that was before audits asked.
CREATE VIEW movement AS
 SELECT reward.reward_id AS transfer_id,
    reward.program_id,
    1::smallint AS kind,
    reward.beneficiary_id AS participant_id,
    1::smallint AS debit,
        CASE
            WHEN reward.hold_until IS NULL THEN 3::smallint
            ELSE 2::smallint
        END AS credit,
    reward.asset,
    reward.amount_minor,
    reward.reward_id,
    (('conversion:'::text || reward.program_id) || '/'::text) || reward.conversion_id AS cause_id,
    NULL::text AS recipient_id,
    reward.writer
   FROM reward
UNION ALL
 SELECT transfer.transfer_id,
    transfer.program_id,
    transfer.kind,
    transfer.participant_id,
    transfer.debit,
    transfer.credit,
    transfer.asset,
    transfer.amount_minor,
    transfer.reward_id,
    transfer.cause_id,
    transfer.recipient_id,
    transfer.writer
   FROM transfer;

-- The name of an account by the number of its kind and whose it is.
-- FUNCTION account_name(place smallint, participant_id text) RETURNS text

-- Makes the partition of a month where it is missing; runs with the rights of its owner.
-- FUNCTION ensure_partition(parent text, moment timestamp with time zone) RETURNS void

-- The least id that a row of a month can have.
-- FUNCTION month_id(month timestamp with time zone) RETURNS uuid

CREATE SCHEMA notify;
SET search_path = notify;

-- The revision of the schema.
CREATE TABLE alembic_version (
    -- The newest migration that was run.
    version_num character varying(32) NOT NULL,
    PRIMARY KEY (version_num)
);

-- What happened, once for all whom it concerns. Entries are facts: words are made when they are read.
CREATE TABLE cause (
    -- The id of all entries that tell of it; begins with the time.
    entry_id uuid NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- The event that told of it. With the program it is the inbox: a second delivery changes nothing.
    event_id text NOT NULL,
    -- The conversion that it is about; empty for none.
    conversion_id text NOT NULL,
    -- The kind of that conversion.
    event_type text NOT NULL,
    -- The buyer of that conversion.
    buyer_id text NOT NULL,
    -- When it happened.
    occurred_at timestamp with time zone NOT NULL,
    -- [code, is money, minor digits] each.
    assets jsonb NOT NULL,
    -- The contest that it is about; empty for none.
    contest_id text NOT NULL DEFAULT ''::text,
    -- Why a person rejected it; empty where nobody did.
    reason text NOT NULL DEFAULT ''::text,
    -- The version of the texts that tell of it; 0 for the built-in ones.
    texts_version integer NOT NULL,
    -- When it was written.
    create_time timestamp with time zone NOT NULL,
    -- The transaction that wrote it: those who watch an inbox compare snapshots.
    writer xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- Every transaction before this one had ended when it was written.
    writer_horizon xid8 NOT NULL DEFAULT pg_snapshot_xmin(pg_current_snapshot()),
    PRIMARY KEY (entry_id),
    UNIQUE (program_id, event_id)
);
CREATE INDEX cause_writer ON cause (writer);

-- What is known of people beside their ids. Personal data: no other table has any but preference, and logs have none.
CREATE TABLE contact (
    -- The program.
    program_id text NOT NULL,
    -- The participant.
    participant_id text NOT NULL,
    -- What others call them; empty if not known.
    display_name text NOT NULL DEFAULT ''::text,
    -- Their e-mail address as it was given; empty if not known.
    email text NOT NULL DEFAULT ''::text,
    -- The same, normalised for comparing.
    email_key text NOT NULL DEFAULT ''::text,
    -- When it was made sure that the address is theirs; NULL if it was not.
    email_verify_time timestamp with time zone,
    -- Their time zone in the IANA database; empty for UTC.
    time_zone text NOT NULL DEFAULT ''::text,
    -- The language that the platform knows them to speak; what they chose themselves stands in preference.
    locale text NOT NULL DEFAULT ''::text,
    -- When it was first set.
    create_time timestamp with time zone NOT NULL,
    -- When it was set last.
    update_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, participant_id)
);

-- Messages that a consumer failed on, counted; those with a park_time are set aside and wait for a person.
CREATE TABLE dead_letter (
    -- The consumer that failed.
    consumer text NOT NULL,
    -- The message's id, or its stream and sequence where it has none.
    message_id text NOT NULL,
    -- The subject under which it was published.
    subject text NOT NULL,
    -- The encoded message.
    payload bytea NOT NULL,
    -- The error of the last try.
    error text NOT NULL,
    -- How often it was tried.
    attempts integer NOT NULL DEFAULT 1,
    -- When it failed first.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    -- When it failed last.
    update_time timestamp with time zone NOT NULL DEFAULT now(),
    -- When it was set aside; NULL while it is still tried.
    park_time timestamp with time zone,
    -- Whether dead_letter_fact has the facts that it tells.
    facts_read boolean NOT NULL DEFAULT false,
    PRIMARY KEY (consumer, message_id)
);
CREATE INDEX dead_letter_parked ON dead_letter (park_time, message_id) WHERE park_time IS NOT NULL;
CREATE INDEX dead_letter_unread ON dead_letter (consumer, message_id) WHERE park_time IS NOT NULL AND NOT facts_read;

-- The facts that dead letters tell, which are not missing for whoever compares. They go when the letter goes.
CREATE TABLE dead_letter_fact (
    -- The consumer that failed.
    consumer text NOT NULL,
    -- The message that was set aside.
    message_id text NOT NULL,
    -- The digest of the names of a fact: BLAKE2b of 16 bytes.
    digest bytea NOT NULL,
    PRIMARY KEY (consumer, message_id, digest),
    FOREIGN KEY (consumer, message_id) REFERENCES dead_letter(consumer, message_id) ON DELETE CASCADE
);
CREATE INDEX dead_letter_fact_by_digest ON dead_letter_fact (digest);

-- What is sent of a cause to one participant, or about them, by one channel to one endpoint.
CREATE TABLE delivery (
    -- The order in which deliveries of a participant are sent to an endpoint.
    delivery_no bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    -- The id of the delivery, by which its receiver knows it again.
    delivery_id uuid NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- The cause, by the id of its entries.
    entry_id uuid NOT NULL,
    -- The participant who is told.
    participant_id text NOT NULL,
    -- The way in which it is sent: 1 webhook.
    channel smallint NOT NULL,
    -- Where to: the id of a webhook.
    endpoint_id uuid NOT NULL,
    -- The kind of thing that it tells of.
    kind smallint NOT NULL,
    -- What became of it: 1 pending, 2 sending, 3 retrying, 4 delivered, 5 parked.
    state smallint NOT NULL,
    -- How often it was tried.
    attempts integer NOT NULL DEFAULT 0,
    -- How often of these since it was written, or since a person had it sent again.
    try_count integer NOT NULL DEFAULT 0,
    -- When it is tried next, earliest, while it is retrying.
    due_time timestamp with time zone,
    -- What was wrong last; empty where nothing was.
    error text NOT NULL DEFAULT ''::text,
    -- When it was written.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    -- When it came into its state.
    update_time timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (delivery_no),
    UNIQUE (delivery_id),
    UNIQUE (entry_id, participant_id, channel, endpoint_id)
);
CREATE INDEX delivery_of_participant ON delivery (program_id, participant_id, delivery_no);
CREATE INDEX delivery_of_program ON delivery (program_id, state, delivery_no);
CREATE INDEX delivery_parked ON delivery (program_id, update_time) WHERE state = 5;
CREATE INDEX delivery_waiting ON delivery (endpoint_id, participant_id, delivery_no)
    WHERE state = ANY (ARRAY[1, 2, 3]);

-- The newest 50 attempts of each delivery.
CREATE TABLE delivery_attempt (
    -- The delivery.
    delivery_no bigint NOT NULL,
    -- The number of the attempt, from 1.
    attempt integer NOT NULL,
    -- When it began.
    attempt_time timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    -- How long it took; null while it lasts, and where the process died meanwhile.
    duration_ms integer,
    -- The status of the answer; 0 where none came.
    http_status integer NOT NULL DEFAULT 0,
    -- What was wrong; empty where nothing was.
    error text NOT NULL DEFAULT ''::text,
    PRIMARY KEY (delivery_no, attempt),
    FOREIGN KEY (delivery_no) REFERENCES delivery(delivery_no) ON DELETE CASCADE
);

-- For whom something waits at which endpoint.
CREATE TABLE delivery_lane (
    -- The endpoint.
    endpoint_id uuid NOT NULL,
    -- The participant.
    participant_id text NOT NULL,
    -- When its first delivery may be sent, earliest; while a process works on it, when another one may.
    due_time timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (endpoint_id, participant_id)
);
CREATE INDEX delivery_lane_due ON delivery_lane (endpoint_id, due_time);

-- Entries of inboxes, one a cause and participant. The key is at once the order of an inbox and the rule that nobody is
-- told twice.
CREATE TABLE inbox_entry (
    -- The program.
    program_id text NOT NULL,
    -- Whose inbox it is.
    participant_id text NOT NULL,
    -- The cause.
    entry_id uuid NOT NULL,
    -- Its number in NotificationKind of the contract.
    kind smallint NOT NULL,
    -- The distance of the participant from the buyer, who is level 0.
    level integer NOT NULL,
    -- [asset, total, held part of it] each, in minor units.
    amounts jsonb NOT NULL,
    -- When what was earned is released, or when it expires; NULL where neither is known.
    hold_until timestamp with time zone,
    -- The rank in a contest; NULL where it is about no prize.
    rank integer,
    -- Whether the participant has read it.
    read boolean NOT NULL DEFAULT false,
    PRIMARY KEY (program_id, participant_id, entry_id)
);

-- The language in which participants are told.
CREATE TABLE preference (
    -- The program.
    program_id text NOT NULL,
    -- The participant.
    participant_id text NOT NULL,
    -- The language, such as ru.
    locale text NOT NULL,
    -- When it was changed last.
    update_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, participant_id)
);

-- Programs that have texts of their own.
CREATE TABLE program (
    -- The program's id.
    program_id text NOT NULL,
    -- The version of its texts in force; 0 for the built-in ones.
    texts_version integer NOT NULL,
    PRIMARY KEY (program_id)
);

-- Calls that were carried out, with their answers: a call that is repeated gets the first answer again.
CREATE TABLE program_request (
    -- The program whose own the request id is.
    program_id text NOT NULL,
    -- The method that was called.
    method text NOT NULL,
    -- The caller's id of the request.
    request_id text NOT NULL,
    -- A hash of what was asked for: the same id with another one is refused.
    body_hash bytea NOT NULL,
    -- The encoded answer; NULL only inside the transaction that carries it out.
    response bytea,
    -- When it was carried out.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, method, request_id)
);

-- Calls of versions before request ids were a program's own. Only read.
CREATE TABLE request (
    -- The method that was called.
    method text NOT NULL,
    -- The caller's id of the request.
    request_id text NOT NULL,
    -- A hash of what was asked for, the program included.
    body_hash bytea NOT NULL,
    -- The encoded answer.
    response bytea,
    -- When it was carried out.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (method, request_id)
);

-- Until when rows that had lived their time were removed: what is older and not there may have been there.
CREATE TABLE retention (
    -- The name of a life in the code, which one table or several share.
    life text NOT NULL,
    -- When the last sweep began.
    sweep_time timestamp with time zone NOT NULL,
    -- Rows of before this time may be gone.
    removed_before timestamp with time zone NOT NULL,
    PRIMARY KEY (life)
);

-- Versions of the programs' texts. Never changed.
CREATE TABLE texts (
    -- The program.
    program_id text NOT NULL,
    -- Counts from 1 in each program.
    version integer NOT NULL,
    -- The encoded upline.notify.v1.ProgramTexts.
    content bytea NOT NULL,
    -- When it was published.
    create_time timestamp with time zone NOT NULL,
    PRIMARY KEY (program_id, version),
    CHECK (version > 0)
);

-- The addresses to which everything is sent that the participants of a program are told.
CREATE TABLE webhook (
    -- The id of the webhook.
    webhook_id uuid NOT NULL,
    -- The program.
    program_id text NOT NULL,
    -- Where it is.
    url text NOT NULL,
    -- The kinds that it wants; empty for all.
    kinds smallint[] NOT NULL,
    -- Whether anything is sent to it: 1 enabled, 2 disabled, 3 switched off by itself.
    state smallint NOT NULL,
    -- Why it was switched off by itself; empty otherwise.
    switched_off_reason text NOT NULL DEFAULT ''::text,
    -- Which secret is the newest. None is stored: each is derived from the secret of the installation.
    secret_version integer NOT NULL DEFAULT 1,
    -- Until when the secret before the newest one signs too.
    previous_secret_until timestamp with time zone,
    -- How often it failed in a row.
    failure_count integer NOT NULL DEFAULT 0,
    -- When the first of these failures was.
    failing_since timestamp with time zone,
    -- Nothing is sent to it before this time.
    rest_until timestamp with time zone,
    -- When it was added.
    create_time timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (webhook_id)
);
CREATE INDEX webhook_of_program ON webhook (program_id, webhook_id);
