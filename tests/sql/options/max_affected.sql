-- @max_affected 4
DELETE FROM goods WHERE id <= :most
