SET LOCAL enable_seqscan = off;
-- @returns none
SELECT * FROM goods WHERE id = :id
