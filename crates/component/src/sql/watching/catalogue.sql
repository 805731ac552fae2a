-- One text for what users have in the catalogue: another one after any DDL that a statement, or the
-- definition of a procedure, can depend on. VACUUM and ANALYZE leave xmin as it is.
WITH ours AS (
    SELECT oid, xmin FROM pg_catalog.pg_namespace
    WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
), relations AS (
    SELECT oid, xmin FROM pg_catalog.pg_class
    WHERE relnamespace IN (SELECT oid FROM ours) AND relkind IN ('r', 'v', 'm', 'f', 'p', 'c')
), written (what) AS (
    SELECT pg_catalog.concat('namespace ', oid, ' ', xmin) FROM ours
    UNION ALL
    SELECT pg_catalog.concat('class ', oid, ' ', xmin) FROM relations
    UNION ALL
    SELECT pg_catalog.concat('attribute ', attrelid, ' ', attnum, ' ', xmin)
    FROM pg_catalog.pg_attribute WHERE attrelid IN (SELECT oid FROM relations) AND attnum > 0
    UNION ALL
    SELECT pg_catalog.concat('type ', oid, ' ', xmin)
    FROM pg_catalog.pg_type WHERE typnamespace IN (SELECT oid FROM ours)
    UNION ALL
    SELECT pg_catalog.concat('enum ', oid, ' ', xmin) FROM pg_catalog.pg_enum
    UNION ALL
    SELECT pg_catalog.concat('proc ', oid, ' ', xmin)
    FROM pg_catalog.pg_proc WHERE pronamespace IN (SELECT oid FROM ours)
    UNION ALL
    SELECT pg_catalog.concat('description ', objoid, ' ', xmin)
    FROM pg_catalog.pg_description
    WHERE classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        AND objoid IN (SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace IN (SELECT oid FROM ours))
)
SELECT pg_catalog.concat(
    pg_catalog.count(*), ' ', pg_catalog.sum(pg_catalog.hashtext(what)::pg_catalog.int8)
) FROM written
