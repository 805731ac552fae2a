-- The operators of JSON, of which one looks like the placeholder of other databases.
SELECT :doc::jsonb ? :key AS a,
       :doc::jsonb @> '{"b": {"c": 1}}' AS b,
       :doc::jsonb ?| ARRAY['x', :key] AS c,
       :doc::jsonb #>> '{b,c}' AS d,
       :doc::jsonb -> 'b' ->> 'c' AS e,
       :doc::jsonb @? '$.b' AS f
