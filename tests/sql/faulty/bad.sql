-- Names a column that is not there.
SELECT
  nam
FROM goods
