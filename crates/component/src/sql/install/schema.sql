-- The schema `wampgres`: what nodes of wampgres and the SQL of an application have in common.
SET LOCAL client_min_messages = warning;

-- One installation at a time, in a schema of the installer's own, never an older one over a newer one.
DO $install$
DECLARE
    owner text;
    installed integer;
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(7161160911);
    SELECT r.rolname INTO owner
    FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
    WHERE n.nspname = 'wampgres' AND NOT pg_catalog.pg_has_role(n.nspowner, 'USAGE');
    IF FOUND THEN
        RAISE EXCEPTION 'the schema wampgres belongs to %', owner
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Install as that role, or drop the schema if nobody needs it.';
    END IF;
    CREATE SCHEMA IF NOT EXISTS wampgres;
    CREATE TABLE IF NOT EXISTS wampgres.version (
        version integer NOT NULL,
        installed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
    );
    SELECT max(v.version) INTO installed FROM wampgres.version v;
    IF installed > @version@ THEN
        RAISE EXCEPTION 'version % of the schema wampgres is installed, newer than @version@', installed
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Use the program that has installed it, or a newer one.';
    END IF;
END
$install$;

COMMENT ON SCHEMA wampgres IS 'wampgres: installed by `wampgres sql-install`, removed by `wampgres sql-install --remove`';
GRANT USAGE ON SCHEMA wampgres TO PUBLIC;
