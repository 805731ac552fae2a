-- @result first
-- @single
SELECT :n::int4 + 1 AS n;
-- @result both
-- @returns arrays
SELECT :n::int4 AS a, :word := 'tea' AS b
