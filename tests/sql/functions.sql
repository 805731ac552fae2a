CREATE SCHEMA api;
CREATE SCHEMA "Other";
CREATE TABLE goods (id serial PRIMARY KEY, name text, price numeric);
INSERT INTO goods (name, price) VALUES ('tea', 3.50), ('pot', 20), ('cup', 5);

CREATE FUNCTION api.cheap(price numeric, n int = 20) RETURNS SETOF goods LANGUAGE sql STABLE
AS 'SELECT g.* FROM goods g WHERE g.price < cheap.price ORDER BY g.price LIMIT n';
COMMENT ON FUNCTION api.cheap IS 'The goods below a price, cheapest first.

@max_rows 2';

CREATE FUNCTION api.add(name text, price numeric) RETURNS int LANGUAGE sql
AS 'INSERT INTO goods (name, price) VALUES ($1, $2) RETURNING id';

CREATE FUNCTION api."nameOf"(id int) RETURNS text LANGUAGE sql STABLE
AS 'SELECT name FROM goods g WHERE g.id = $1';
CREATE FUNCTION api."nameOf"("aName" text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';

CREATE PROCEDURE api.rename(id int, INOUT name text) LANGUAGE plpgsql
AS $$BEGIN UPDATE goods g SET name = rename.name WHERE g.id = rename.id; COMMIT; END$$;

COMMENT ON PROCEDURE api.rename IS '@identity false';

CREATE FUNCTION api.slow() RETURNS void LANGUAGE sql SET statement_timeout = '100ms'
AS 'SELECT pg_sleep(60)';

CREATE FUNCTION api.endless() RETURNS void LANGUAGE sql AS $$SELECT pg_sleep(60), 'endless'$$;

COMMENT ON FUNCTION api.endless IS '@concurrency 1';

CREATE FUNCTION api.sneaky() RETURNS void LANGUAGE plpgsql STABLE
AS $$BEGIN PERFORM api.add('no', 1); END$$;

CREATE FUNCTION api.hidden() RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION api.hidden FROM public;

CREATE FUNCTION api.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';

CREATE FUNCTION "Other".more(json) RETURNS json LANGUAGE sql AS 'SELECT $1';
