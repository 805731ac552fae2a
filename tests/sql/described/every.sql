-- Something of every kind,
-- with a comment that ends: */
-- @param kind text
SELECT 1::int8 AS big, 2.5::numeric AS exact, 'x'::text AS "of: text", NULL::json AS doc,
       ARRAY[1, NULL]::int4[] AS list, now() AS at, '\x00'::bytea AS raw, :kind::text AS kind,
       '1.50'::money AS cash
