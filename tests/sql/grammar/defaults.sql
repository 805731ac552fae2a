-- Defaults stand where no comparison can be; a comparison is one.
SELECT :n = 2 AS same FROM generate_series(1, 3) AS g WHERE g > :least := 1 LIMIT :most = 1
