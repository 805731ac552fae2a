-- `::`, `:=` of an argument, and slices.
SELECT (ARRAY[1, 2, 3, 4])[2:3] AS a,
       (ARRAY[1, 2, 3, 4])[lo:hi] AS b,
       (ARRAY[1, 2, 3, 4])[:from::int: :to::int] AS c,
       make_date(year := :y, month := 2, day := 3) AS d
FROM (SELECT 1 AS lo, 2 AS hi) AS bounds
