-- What there is in the schemas of $1, in their order: a row with JSON for each function and procedure;
-- for a schema without any, one that tells of the schema alone. $3 are the roles that callers have,
-- NULL for the login; what one of them may is what counts.
WITH callers AS (
  SELECT DISTINCT r.oid, r.rolname
  FROM pg_catalog.unnest($3::text[]) AS caller (name)
  JOIN pg_catalog.pg_roles r ON r.rolname = coalesce(caller.name, current_user)
)
SELECT pg_catalog.json_build_object(
  'schema', wanted.name,
  'schema_sql', pg_catalog.quote_ident(wanted.name),
  'role', coalesce(
    (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(rolname), ', ' ORDER BY rolname) FROM callers),
    pg_catalog.quote_ident(current_user)
  ),
  'exists', n.oid IS NOT NULL,
  'usage', (
    SELECT bool_or(pg_catalog.has_schema_privilege(callers.oid, n.oid, 'USAGE')) FROM callers
  ),
  'others', CASE WHEN n.oid IS NULL THEN (
    SELECT pg_catalog.json_agg(nspname) FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_'
  ) END,
  'routine', CASE WHEN p.oid IS NOT NULL THEN pg_catalog.json_build_object(
    'name', p.proname,
    'sql', pg_catalog.format('%I.%I', n.nspname, p.proname),
    'kind', p.prokind,
    'volatility', p.provolatile,
    'returns_set', p.proretset,
    'settings', coalesce(p.proconfig, '{}'),
    'comment', pg_catalog.obj_description(p.oid, 'pg_proc'),
    'may_execute', coalesce((
      SELECT bool_or(pg_catalog.has_function_privilege(callers.oid, p.oid, 'EXECUTE')) FROM callers
    ), false),
    'extension', (
      SELECT e.extname FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
        AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
    ),
    'result', pg_catalog.format_type(p.prorettype, NULL),
    -- Of a domain, that of the type that it is made of.
    'result_kind', (
      WITH RECURSIVE made_of AS (
        SELECT typtype, typbasetype FROM pg_catalog.pg_type WHERE oid = p.prorettype
        UNION ALL
        SELECT t.typtype, t.typbasetype FROM pg_catalog.pg_type t
        JOIN made_of ON made_of.typtype = 'd' AND t.oid = made_of.typbasetype
      )
      SELECT typtype FROM made_of WHERE typtype <> 'd'
    ),
    'parameters', coalesce((
      SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', nullif(p.proargnames[given.at], ''),
        'quoted', pg_catalog.quote_ident(nullif(p.proargnames[given.at], '')),
        'mode', coalesce(p.proargmodes[given.at], 'i'),
        'type', pg_catalog.format('%I.%I', tn.nspname, t.typname),
        'shown', pg_catalog.format_type(t.oid, NULL),
        'is_pseudo', t.typtype = 'p'
      ) ORDER BY given.at)
      FROM pg_catalog.unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]))
        WITH ORDINALITY AS given (type, at)
      JOIN pg_catalog.pg_type t ON t.oid = given.type
      JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
    ), '[]'),
    -- They are those of the last parameters that take something.
    'defaults', p.pronargdefaults
  ) END
)::text
FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS wanted (name, at)
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.name
LEFT JOIN pg_catalog.pg_proc p ON p.pronamespace = n.oid
ORDER BY wanted.at, p.proname, p.oid
LIMIT $2
