SELECT $2::text AS second, $1::text || $2 AS both
