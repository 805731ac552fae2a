-- Event triggers that have every node of this database reload its SQL procedures when DDL is committed:
-- tables, views, types, functions and their comments. For a superuser, or whom the provider of the
-- database lets create event triggers.
--
-- To be without them again: DROP FUNCTION wampgres.notify_of_ddl() CASCADE;
--                           DROP FUNCTION wampgres.notify_of_drop() CASCADE;

CREATE SCHEMA IF NOT EXISTS wampgres;

CREATE OR REPLACE FUNCTION wampgres.notify_of_ddl() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- What is temporary is nobody else's. PostgreSQL sends what a transaction notifies once, however
    -- often it does.
    IF EXISTS (
        SELECT FROM pg_event_trigger_ddl_commands()
        WHERE schema_name IS DISTINCT FROM 'pg_temp' AND command_tag <> 'REFRESH MATERIALIZED VIEW'
    ) THEN
        PERFORM pg_notify('wampgres', 'reload');
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION wampgres.notify_of_drop() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary) THEN
        PERFORM pg_notify('wampgres', 'reload');
    END IF;
END
$$;

COMMENT ON FUNCTION wampgres.notify_of_ddl() IS 'Tells wampgres that something was created or altered';
COMMENT ON FUNCTION wampgres.notify_of_drop() IS 'Tells wampgres that something was dropped';

DROP EVENT TRIGGER IF EXISTS wampgres_notify_of_ddl;
CREATE EVENT TRIGGER wampgres_notify_of_ddl ON ddl_command_end
    WHEN TAG IN (
        'ALTER AGGREGATE', 'ALTER DOMAIN', 'ALTER EXTENSION', 'ALTER FOREIGN TABLE', 'ALTER FUNCTION',
        'ALTER MATERIALIZED VIEW', 'ALTER PROCEDURE', 'ALTER ROUTINE', 'ALTER SCHEMA', 'ALTER TABLE',
        'ALTER TYPE', 'ALTER VIEW', 'COMMENT', 'CREATE AGGREGATE', 'CREATE CAST', 'CREATE DOMAIN',
        'CREATE EXTENSION', 'CREATE FOREIGN TABLE', 'CREATE FUNCTION', 'CREATE MATERIALIZED VIEW',
        'CREATE OPERATOR', 'CREATE PROCEDURE', 'CREATE RULE', 'CREATE SCHEMA', 'CREATE TABLE',
        'CREATE TABLE AS', 'CREATE TYPE', 'CREATE VIEW', 'IMPORT FOREIGN SCHEMA', 'SELECT INTO'
    )
    EXECUTE FUNCTION wampgres.notify_of_ddl();

DROP EVENT TRIGGER IF EXISTS wampgres_notify_of_drop;
CREATE EVENT TRIGGER wampgres_notify_of_drop ON sql_drop EXECUTE FUNCTION wampgres.notify_of_drop();

-- Of what was done before.
NOTIFY wampgres, 'reload';
