-- @returns none
SELECT id FROM goods
