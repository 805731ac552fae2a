-- What preparing cannot know is said.
-- @param x int = 7
-- @returns value
SELECT pg_typeof(:x) || ' ' || :x
