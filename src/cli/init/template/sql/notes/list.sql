-- The newest notes, the last one first.
--
-- Clients call com.example.notes.list; `:most` is a parameter, and 20 what it is without one. The first
-- lines of a file describe it, and lines with an @ are options: docs/sql.md has them all.
-- @read_only
SELECT id, note, at FROM notes ORDER BY id DESC LIMIT :most = 20
