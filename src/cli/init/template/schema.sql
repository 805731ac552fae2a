-- What is in the database. `wampgres start --embedded-postgres` runs this file at each start, so it says
-- IF NOT EXISTS and OR REPLACE. To change a table that is there already, write ALTER TABLE ... ADD COLUMN
-- IF NOT EXISTS. A PostgreSQL of your own takes it by: psql -f schema.sql

CREATE TABLE IF NOT EXISTS notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    note text NOT NULL CHECK (note <> ''),
    at timestamptz NOT NULL DEFAULT now()
);
