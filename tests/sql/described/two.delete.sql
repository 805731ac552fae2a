-- @secret
DELETE FROM goods WHERE name = :password := 'the-secret'
