-- All of it, or nothing.
-- @result first
-- @single
INSERT INTO goods VALUES (:id) RETURNING id;

-- @skip
UPDATE goods SET name = 'new' WHERE id = :id;

-- @result all
-- @returns value
SELECT count(*) FROM goods;
