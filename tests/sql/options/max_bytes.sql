-- @max_bytes 10
SELECT 'more than ten bytes'
