-- What a caller sends is never SQL.
SELECT :x::text AS x
