-- Adds a note and gives it back.
--
-- Values are bound, never pasted into the SQL. PostgreSQL knows the type of `:note` from the table.
-- @returns row
INSERT INTO notes (note) VALUES (:note) RETURNING id, note, at
