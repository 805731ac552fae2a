-- @returns arrays
SELECT id, name FROM goods WHERE id < 3 ORDER BY id
