-- Adds goods, and says which.
-- @param name text
-- @returns value
INSERT INTO goods (name, price) VALUES (:name, :price) RETURNING id
