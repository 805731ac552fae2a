-- @returns count
SELECT id FROM goods
