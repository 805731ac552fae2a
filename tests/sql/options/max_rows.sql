-- @max_rows 4
SELECT id FROM goods WHERE id <= :most ORDER BY id
