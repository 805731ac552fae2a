-- Who calls, for SQL: what a node tells the transaction of each call, or NULL.
--
-- A setting that was set once reads '' in later transactions of the same connection, and not NULL; these
-- functions give NULL then too.

-- The session of the caller.
CREATE OR REPLACE FUNCTION wampgres.session() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN pg_catalog.current_setting('wamp.session', true) OPERATOR(pg_catalog.<>) ''
        THEN pg_catalog.current_setting('wamp.session', true)::pg_catalog.int8 END
$$;

-- Who the caller is taken for.
CREATE OR REPLACE FUNCTION wampgres.authid() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN pg_catalog.current_setting('wamp.authid', true) OPERATOR(pg_catalog.<>) ''
        THEN pg_catalog.current_setting('wamp.authid', true) END
$$;

-- The role of the caller in the realm, which is not the role of the database.
CREATE OR REPLACE FUNCTION wampgres.authrole() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN pg_catalog.current_setting('wamp.authrole', true) OPERATOR(pg_catalog.<>) ''
        THEN pg_catalog.current_setting('wamp.authrole', true) END
$$;

-- How the caller was authenticated.
CREATE OR REPLACE FUNCTION wampgres.authmethod() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN pg_catalog.current_setting('wamp.authmethod', true) OPERATOR(pg_catalog.<>) ''
        THEN pg_catalog.current_setting('wamp.authmethod', true) END
$$;

-- What the authentication says besides: an object.
CREATE OR REPLACE FUNCTION wampgres.authextra() RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN pg_catalog.current_setting('wamp.authextra', true) OPERATOR(pg_catalog.<>) ''
        THEN pg_catalog.current_setting('wamp.authextra', true)::pg_catalog.jsonb END
$$;

-- The realm of the call.
CREATE OR REPLACE FUNCTION wampgres.realm() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN pg_catalog.current_setting('wamp.realm', true) OPERATOR(pg_catalog.<>) ''
        THEN pg_catalog.current_setting('wamp.realm', true) END
$$;

-- The URI that was called.
CREATE OR REPLACE FUNCTION wampgres.procedure() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN pg_catalog.current_setting('wamp.procedure', true) OPERATOR(pg_catalog.<>) ''
        THEN pg_catalog.current_setting('wamp.procedure', true) END
$$;
