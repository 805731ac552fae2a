-- The outbox: what SQL publishes, kept until all nodes have published it and for a time after that.
--
-- A row is read when its transaction has become visible: what a snapshot sees and an earlier one did
-- not is new. So no transaction is passed over because it commits late, and none waits for another.
CREATE TABLE IF NOT EXISTS wampgres.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The transaction that has published it, and what that saw when it did.
    xid xid8 NOT NULL,
    seen pg_snapshot NOT NULL,
    at timestamptz NOT NULL,
    topic text NOT NULL,
    -- JSON: an array, and two objects.
    args text,
    kwargs text,
    options text,
    -- How much is sent of it.
    bytes integer NOT NULL
) WITH (
    -- Rows only come and go: what is deleted is to be used again soon, also among very many rows.
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    toast.autovacuum_vacuum_scale_factor = 0.01
);
CREATE INDEX IF NOT EXISTS outbox_xid ON wampgres.outbox (xid, id);
COMMENT ON TABLE wampgres.outbox IS 'events that SQL has published; write to it by wampgres.publish() only';

-- Until when nodes look for events by themselves, in milliseconds since 1970. Before that nobody has to
-- be woken, and PostgreSQL spares the lock that makes commits with NOTIFY wait for each other. A
-- sequence, because everybody sees at once what it is set to.
CREATE SEQUENCE IF NOT EXISTS wampgres.outbox_awake;

-- What has been deleted. An event can be deleted when its transaction was over at `old_at`, so that
-- nodes have had time to read it, however late it was committed.
CREATE TABLE IF NOT EXISTS wampgres.outbox_deleted (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    young_at timestamptz,
    young_xmin xid8,
    old_at timestamptz,
    old_xmin xid8,
    -- The latest transaction of which an event was deleted.
    xid xid8 NOT NULL DEFAULT '0'
);

-- The options of a publication, or an error that names what is wrong with them.
CREATE OR REPLACE FUNCTION wampgres.publish_options(options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    lists constant text[] := '{eligible,eligible_authid,eligible_authrole,exclude,exclude_authid,exclude_authrole}';
    session text := current_setting('wamp.session', true);
    key text;
    value jsonb;
    wanted text;
BEGIN
    IF jsonb_typeof(options) <> 'object' THEN
        RAISE EXCEPTION 'the options of a publication are an object, not a JSON %', jsonb_typeof(options)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR key, value IN SELECT * FROM jsonb_each(options) LOOP
        IF key = 'acknowledge' THEN
            RAISE EXCEPTION 'the option "acknowledge" cannot be served: the event is published after COMMIT'
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Leave it out; what publish() returns is the id of the event.';
        ELSIF key IN ('exclude_me', 'disclose_me') THEN
            wanted := 'true or false';
            CONTINUE WHEN jsonb_typeof(value) = 'boolean';
        ELSIF key = ANY (lists) THEN
            wanted := CASE WHEN key IN ('eligible', 'exclude') THEN 'number' ELSE 'string' END;
            CONTINUE WHEN jsonb_typeof(value) = 'array' AND NOT EXISTS (
                SELECT FROM jsonb_array_elements(value) AS item WHERE jsonb_typeof(item) <> wanted
            );
            wanted := 'an array of ' || wanted || 's';
        ELSE
            RAISE EXCEPTION 'unknown option "%" of a publication', key
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Known are: exclude_me, disclose_me, ' || array_to_string(lists, ', ') || '.';
        END IF;
        RAISE EXCEPTION 'the option "%" of a publication is %, not %', key, wanted, value
            USING ERRCODE = 'invalid_parameter_value';
    END LOOP;
    -- "Me" is the session whose call it is that publishes.
    IF options -> 'exclude_me' = 'true' AND session <> '' THEN
        options := jsonb_set(options, '{exclude}',
            coalesce(options -> 'exclude', '[]') || jsonb_build_array(session::bigint));
    END IF;
    RETURN options - 'exclude_me';
END
$function$;

-- Publishes an event when the transaction is committed. The answer is the event's id.
CREATE OR REPLACE FUNCTION wampgres.publish(
    topic text, args jsonb DEFAULT NULL, kwargs jsonb DEFAULT NULL, options jsonb DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    -- Before the id, so that whoever has a smaller id had its transaction's number before.
    xid constant xid8 := pg_current_xact_id();
    args_text constant text := args;
    kwargs_text constant text := kwargs;
    event bigint;
BEGIN
    IF topic !~ '^(?!wamp(\.|$))[^\s#.]+(\.[^\s#.]+)*$' OR octet_length(topic) > 4096 OR topic IS NULL THEN
        RAISE EXCEPTION '% is no topic to publish to', coalesce(quote_literal(left(topic, 100)), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'A topic is a URI such as com.shop.stock: no blanks, no #, no empty part between its dots, and wamp. is reserved.';
    ELSIF jsonb_typeof(args) <> 'array' THEN
        RAISE EXCEPTION 'the args of a publication are an array, not a JSON %', jsonb_typeof(args)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write jsonb_build_array(...).';
    ELSIF jsonb_typeof(kwargs) <> 'object' THEN
        RAISE EXCEPTION 'the kwargs of a publication are an object, not a JSON %', jsonb_typeof(kwargs)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write jsonb_build_object(...).';
    ELSIF kwargs ?| '{_event,_missing}' THEN
        RAISE EXCEPTION 'the kwargs _event and _missing are wampgres'' own'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give yours another name.';
    END IF;
    IF options IS NOT NULL THEN
        options := wampgres.publish_options(options);
    END IF;
    INSERT INTO wampgres.outbox (xid, seen, at, topic, args, kwargs, options, bytes)
    VALUES (
        xid, pg_current_snapshot(), clock_timestamp(), topic, args_text, kwargs_text, options,
        octet_length(topic) + coalesce(octet_length(args_text), 0) + coalesce(octet_length(kwargs_text), 0)
    )
    RETURNING id INTO event;
    IF coalesce(pg_sequence_last_value('wampgres.outbox_awake'), 0)
        < date_part('epoch', clock_timestamp()) * 1000
    THEN
        PERFORM pg_notify('wampgres_outbox', '');
    END IF;
    RETURN event;
END
$function$;
COMMENT ON FUNCTION wampgres.publish(text, jsonb, jsonb, jsonb) IS
    'publishes a WAMP event when the transaction is committed; gives its id';

-- The events that have become visible since a position, in the order of their ids: at most so many, and
-- of so many bytes but for the last. After them comes a row without an id, whose `state` says how to go on.
-- NULL is the position of now.
--
-- A position is what was visible when it was taken. With more to come it has besides: until when, and
-- after which id. That of an event is what its transaction saw and the events that this published before.
CREATE OR REPLACE FUNCTION wampgres.read_outbox("position" text, max_events integer, max_bytes bigint)
RETURNS TABLE (id bigint, at timestamptz, topic text, args text, kwargs text, options text, state text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $function$
#variable_conflict use_column
DECLARE
    parts constant text[] := string_to_array("position", ';', '');
    base constant pg_snapshot := coalesce(parts[1]::pg_snapshot, pg_current_snapshot());
    until constant pg_snapshot := coalesce(parts[2]::pg_snapshot, pg_current_snapshot());
    late constant xid8[] := ARRAY(SELECT pg_snapshot_xip(base));
    after constant bigint := parts[3];
    own_xid constant xid8 := coalesce(parts[4], '0');
    own_id constant bigint := coalesce(parts[5], '0');
    ids bigint[] := '{}';
    taken bigint := 0;
    next text := until;
BEGIN
    IF "position" IS NULL THEN
        NULL;
    ELSIF after IS NULL THEN
        -- By their transactions, of which those that were not over are few.
        WITH new AS MATERIALIZED (
            SELECT o.id FROM wampgres.outbox o
            WHERE o.xid >= pg_snapshot_xmax(base) AND pg_visible_in_snapshot(o.xid, until)
              AND (o.xid <> own_xid OR o.id > own_id)
            UNION ALL
            SELECT o.id FROM wampgres.outbox o
            WHERE o.xid = ANY (late) AND pg_visible_in_snapshot(o.xid, until) AND (o.xid <> own_xid OR o.id > own_id)
            UNION ALL
            -- A transaction's own number is not among those that it sees as under way.
            SELECT o.id FROM wampgres.outbox o
            WHERE o.xid = own_xid AND o.id > own_id AND pg_visible_in_snapshot(own_xid, base)
        ), page AS (SELECT id FROM new ORDER BY id LIMIT max_events + 1)
        SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO ids FROM page;
    ELSE
        WITH page AS (
            SELECT o.id FROM wampgres.outbox o
            WHERE o.id > after AND pg_visible_in_snapshot(o.xid, until)
              AND (NOT pg_visible_in_snapshot(o.xid, base) OR o.xid = own_xid)
              AND (o.xid <> own_xid OR o.id > own_id)
            ORDER BY o.id LIMIT max_events + 1
        )
        SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO ids FROM page;
    END IF;
    IF ids <> '{}' THEN
        RETURN QUERY
        WITH sized AS (
            SELECT o.*, sum(o.bytes) OVER (ORDER BY o.id ROWS UNBOUNDED PRECEDING) - o.bytes AS before
            FROM wampgres.outbox o WHERE o.id = ANY (ids[1:max_events])
        )
        SELECT id, at, topic, args, kwargs, options, NULL::text
        FROM sized WHERE before < max_bytes ORDER BY id;
        GET DIAGNOSTICS taken = ROW_COUNT;
        IF taken < cardinality(ids) THEN
            next := concat_ws(';', base, until, ids[taken], own_xid, own_id);
        END IF;
    END IF;
    state := jsonb_build_object(
        'position', next,
        'more', taken < cardinality(ids),
        -- The oldest transaction that is under way, or the next one.
        'oldest', pg_snapshot_xmin(pg_current_snapshot())::text,
        'awake_ms', greatest(0, coalesce(pg_sequence_last_value('wampgres.outbox_awake'), 0)
            - trunc(date_part('epoch', clock_timestamp()) * 1000)),
        -- Whether events may have been deleted that were not visible at the position.
        'missing', EXISTS (SELECT FROM wampgres.outbox_deleted d WHERE d.one AND d.xid >= pg_snapshot_xmin(base)),
        'standby', pg_is_in_recovery(),
        -- Another one after a failover, which may have lost transactions and used their numbers again.
        'timeline', CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
        'newest', pg_snapshot_xmax(pg_current_snapshot())::text,
        'version', @version@
    );
    id := NULL; at := NULL; topic := NULL; args := NULL; kwargs := NULL; options := NULL;
    RETURN NEXT;
END
$function$;

-- The position of an event, after which `read_outbox` goes on. NULL if the event is not kept.
CREATE OR REPLACE FUNCTION wampgres.event_position(event bigint) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
    SELECT concat(o.seen, ';;;', o.xid, ';', o.id) FROM wampgres.outbox o WHERE o.id = event
$function$;

-- Lets publishers wake nobody for so long: whoever asks for it promises to look by itself. Those who
-- sleep are woken once, and see that they are to look too.
CREATE OR REPLACE FUNCTION wampgres.stay_awake(milliseconds integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    before constant bigint := coalesce(pg_sequence_last_value('wampgres.outbox_awake'), 0);
    now constant bigint := trunc(date_part('epoch', clock_timestamp()) * 1000);
BEGIN
    IF now + milliseconds > before THEN
        PERFORM setval('wampgres.outbox_awake', now + milliseconds);
    END IF;
    IF before <= now THEN
        PERFORM pg_notify('wampgres_outbox', '');
    END IF;
END
$function$;

-- About how many bytes of events there are: exact while they are few, else from some of the pages.
CREATE OR REPLACE FUNCTION wampgres.outbox_bytes() RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    pages constant bigint := pg_relation_size('wampgres.outbox') / current_setting('block_size')::integer;
    percent constant real := least(100, 100 * 2000.0 / greatest(pages, 1));
BEGIN
    RETURN (SELECT coalesce(sum(o.bytes), 0) * 100 / percent FROM wampgres.outbox o TABLESAMPLE SYSTEM (percent));
END
$function$;

-- Deletes of the oldest events after an id, of which it looks at so many: those that are older than
-- `max_age`, and others as long as `excess` bytes are not reached. `last` is the last one looked at;
-- NULL if there are no more, or another node is at it.
CREATE OR REPLACE FUNCTION wampgres.delete_events(
    after bigint, max_age interval, excess bigint, max_events integer,
    OUT last bigint, OUT deleted bigint, OUT bytes bigint
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
#variable_conflict use_column
DECLARE
    now constant timestamptz := clock_timestamp();
    -- How long an event is visible at least.
    grace constant interval := least(max_age / 2, '1 minute');
    marks wampgres.outbox_deleted;
    ids bigint[];
    latest xid8;
BEGIN
    deleted := 0;
    bytes := 0;
    SELECT * INTO marks FROM wampgres.outbox_deleted FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF marks.young_at IS NULL OR marks.young_at <= now - grace THEN
        UPDATE wampgres.outbox_deleted
        SET old_at = young_at, old_xmin = young_xmin,
            young_at = now, young_xmin = pg_snapshot_xmin(pg_current_snapshot())
        RETURNING * INTO marks;
    END IF;
    WITH oldest AS MATERIALIZED (
        SELECT o.id, o.xid, o.at, o.bytes FROM wampgres.outbox o
        WHERE o.id > after ORDER BY o.id LIMIT max_events
    ), visible AS (
        SELECT o.*, sum(o.bytes) OVER (ORDER BY o.id ROWS UNBOUNDED PRECEDING) - o.bytes AS before
        FROM oldest o WHERE o.xid < marks.old_xmin
    ), gone AS (
        SELECT v.id, v.xid, v.bytes FROM visible v WHERE v.at < now - max_age OR v.before < excess
        UNION ALL
        -- They are visible, so their transactions are not this server's: they come out of a dump.
        SELECT o.id, '0', o.bytes FROM oldest o WHERE o.xid >= pg_snapshot_xmax(pg_current_snapshot())
    )
    SELECT (SELECT o.id FROM oldest o ORDER BY o.id OFFSET max_events - 1),
        coalesce(array_agg(g.id), '{}'), count(*), coalesce(sum(g.bytes), 0),
        (SELECT g.xid FROM gone g ORDER BY g.xid DESC LIMIT 1)
    INTO last, ids, deleted, bytes, latest FROM gone g;
    DELETE FROM wampgres.outbox o WHERE o.id = ANY (ids);
    IF latest > marks.xid THEN
        UPDATE wampgres.outbox_deleted SET xid = latest;
    END IF;
END
$function$;

-- Who is not the owner has to be granted what a node or a publisher needs: see docs/topics.md. Only
-- the first time, so that what was granted stays.
DO $install$
BEGIN
    INSERT INTO wampgres.outbox_deleted DEFAULT VALUES ON CONFLICT DO NOTHING;
    IF NOT EXISTS (SELECT FROM wampgres.version) THEN
        REVOKE ALL ON FUNCTION
            wampgres.publish(text, jsonb, jsonb, jsonb),
            wampgres.read_outbox(text, integer, bigint),
            wampgres.event_position(bigint),
            wampgres.stay_awake(integer),
            wampgres.outbox_bytes(),
            wampgres.delete_events(bigint, interval, bigint, integer)
        FROM PUBLIC;
    END IF;
END
$install$;
