-- @read_only
DELETE FROM goods
