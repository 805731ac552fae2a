-- @dry_run
DELETE FROM goods
