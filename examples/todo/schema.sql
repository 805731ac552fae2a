-- The table of all lists, who sees what of it, and the trigger that tells the pages. It can be run
-- again at any time, and needs what `wampgres sql-install` makes.

CREATE TABLE IF NOT EXISTS tasks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The key of a list is its secret, so it may not be one that can be guessed.
    list text NOT NULL DEFAULT current_setting('todo.list') CHECK (list ~ '^[0-9a-f]{32}$'),
    task text NOT NULL CHECK (length(trim(task)) BETWEEN 1 AND 200),
    done boolean NOT NULL DEFAULT false
);

CREATE INDEX IF NOT EXISTS tasks_of_a_list ON tasks (list, id);

-- Row-level security: a transaction has the rows of the list whose key it has been told, and no
-- others. FORCE, because the node logs in as the owner of the table, who would see all.
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasks FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS own_list ON tasks;
CREATE POLICY own_list ON tasks USING (list = (SELECT current_setting('todo.list', true)));

-- The topic of a list has a digest of the key and not the key: whoever sees the topic, as a subscriber
-- to all that begins with com.example.todo. does, learns nothing that opens the list.
CREATE OR REPLACE FUNCTION topic_of(list text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN 'com.example.todo.changed.' || encode(sha256(list::bytea), 'hex');

-- Tells after COMMIT that a list has changed. The event says which task and no more; the pages that
-- have the key read the list again.
CREATE OR REPLACE FUNCTION tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed tasks := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    PERFORM wampgres.publish(topic_of(changed.list), args => jsonb_build_array(changed.id));
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON tasks
    FOR EACH ROW EXECUTE FUNCTION tell_change();
