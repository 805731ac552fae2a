-- @returns row
SELECT id, name FROM goods WHERE id >= :least AND id < 3
