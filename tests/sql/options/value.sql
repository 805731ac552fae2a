-- @returns value
SELECT id FROM goods WHERE id = :id
