-- @isolation repeatable_read
-- @returns value
SELECT current_setting('transaction_isolation')
