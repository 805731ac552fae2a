-- @returns value
-- @param $2 int4 = 7
SELECT $1::int4 + $2
