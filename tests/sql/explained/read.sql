-- @read_only
INSERT INTO goods (name) VALUES (:name)
