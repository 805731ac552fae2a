-- @returns value
SELECT count(*) FROM goods
