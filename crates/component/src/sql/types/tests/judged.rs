//! Values of every type go from SQL to WAMP and back again, before PostgreSQL's own `to_json` and
//! `::text` as judges.

use serde_json::value::RawValue;
use sql::{
    Database,
    types::{Kind, Type},
};

use super::{
    super::{Argument, Columns, Forms, table},
    databases,
    generated::Random,
    json,
    judge::{Of, comparable},
    run, try_run,
};

/// How many values of each type.
const VALUES: usize = 60;

/// Every type that is not made of others here, and some that are.
pub(super) const TYPES: &[&str] = &[
    "bool",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "oid",
    "xid",
    "cid",
    "xid8",
    "text",
    "varchar",
    "bpchar",
    "name",
    "\"char\"",
    "xml",
    "jsonpath",
    "json",
    "jsonb",
    "bytea",
    "uuid",
    "bit(9)",
    "varbit",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "point",
    "lseg",
    "box",
    "line",
    "path",
    "polygon",
    "circle",
    "tsvector",
    "tsquery",
    "pg_lsn",
    "pg_snapshot",
    "txid_snapshot",
    "tid",
    "int2vector",
    "oidvector",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "int4multirange",
    "int8multirange",
    "nummultirange",
    "tsmultirange",
    "tstzmultirange",
    "datemultirange",
    "mood",
    "price",
    "prices",
    "goods",
    "shelf",
    "floats",
];

/// A literal of SQL.
fn quoted(literal: &str) -> String {
    format!("'{}'", literal.replace('\'', "''"))
}

/// The rows of a VALUES.
fn rows_of(r#type: &str, literals: &[String]) -> String {
    let row = |literal: &String| format!("({}::{type})", quoted(literal));
    literals.iter().map(row).collect::<Vec<_>>().join(", ")
}

/// Values of a type as the rows of a VALUES.
pub(super) fn values(r#type: &str, random: &mut Random) -> String {
    let literals: Vec<_> = (0..VALUES).map(|_| random.literal(r#type)).collect();
    rows_of(r#type, &literals)
}

fn has_arrays(r#type: &str) -> bool {
    r#type.ends_with("[]") || ["prices", "shelf"].contains(&r#type)
}

/// What is wrong with values of a type on their way, if anything is.
fn travels(database: &dyn Database, r#type: &str, seed: usize) -> Result<(), String> {
    let random = &mut Random::new(17 + 1000 * seed as u64);
    let literals: Vec<_> = (0..VALUES).map(|_| random.literal(r#type)).collect();
    let values = rows_of(r#type, &literals);
    let sql = format!("SELECT v, to_json(v)::text, v::text FROM (VALUES {values}) AS q (v)");
    let rows = try_run(database, &sql, Vec::new()).map_err(|error| format!("{type}: {error}"))?;
    let columns = Columns::new(rows.columns(), Forms::default());
    for (literal, row) in literals.iter().zip(rows.iter()) {
        let fault = |why: String| format!("{type} {literal}: {why}");
        let written = serde_json::to_string(&columns.value(row, 0));
        let written = written.map_err(|error| fault(error.to_string()))?;
        let column = rows.columns().next().unwrap().r#type;
        is_as_judged(column, &written, row.get(1).unwrap()).map_err(fault)?;
        let back = format!("SELECT to_json(v)::text, v::text FROM (SELECT $1::{type}) AS q (v)");
        let param = Argument::from_json(&written).unwrap().bind(column);
        let param = param.map_err(|mismatch| fault(mismatch.to_string()))?;
        let again = try_run(database, &back, vec![param]);
        let again = again.map_err(|error| fault(error.to_string()))?;
        // The lower bounds of an array are 1 now, which only its text shows.
        let at = usize::from(!has_arrays(r#type));
        let is: &str = again.row(0).unwrap().get(at).unwrap();
        let was: &str = row.get(1 + at).unwrap();
        if is != was {
            return Err(fault(format!("{was} is {is} after its way there and back")));
        }
    }
    Ok(())
}

fn is_as_judged(r#type: &Type, written: &str, to_json: &str) -> Result<(), String> {
    let judged: &RawValue = serde_json::from_str(to_json).unwrap();
    let written: &RawValue = serde_json::from_str(written).unwrap();
    let value = comparable(r#type, written, Of::Us);
    let expected = comparable(r#type, judged, Of::Judge);
    if value != expected {
        return Err(format!("it is {value} and should be {expected}"));
    }
    if *r#type == Type::JSON && written.get() != judged.get() {
        return Err(format!("{written} is not kept to the byte: {judged}"));
    }
    Ok(())
}

fn none(faults: impl Iterator<Item = String>) {
    let faults: Vec<_> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn values_of_every_type_travel_there_and_back() {
    for database in databases() {
        let types = TYPES.iter().enumerate();
        none(types.filter_map(|(seed, r#type)| travels(&*database, r#type, seed).err()));
    }
}

#[test]
fn arrays_of_every_type_travel_there_and_back() {
    for database in databases() {
        // Arrays of these would be arrays of arrays.
        let is_flat = |r#type: &&&str| !["prices", "int2vector", "oidvector"].contains(*r#type);
        let types = TYPES.iter().filter(is_flat).enumerate();
        none(types.filter_map(|(seed, r#type)| {
            let array = format!("{type}[]");
            travels(&*database, &array, seed).err()
        }));
    }
}

#[test]
fn every_type_of_postgresql_is_in_the_table() {
    for database in databases() {
        let sql = "SELECT oid, typname::text FROM pg_type AS t
               WHERE typnamespace = 'pg_catalog'::regnamespace AND typrelid = 0
                 AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.oid = t.typelem AND e.typrelid > 0)
                 AND (typtype <> 'p' OR typname IN ('void', 'cstring', 'unknown'))";
        let rows = run(&*database, sql, Vec::new());
        assert!(rows.len() > 100);
        for row in rows.iter() {
            let (oid, name): (u32, &str) = (row.get(0).unwrap(), row.get(1).unwrap());
            let r#type = Type::from_oid(oid).unwrap_or_else(|| panic!("{name} is not known"));
            let is_made_of_others = matches!(
                r#type.kind(),
                Kind::Array(_) | Kind::Range(_) | Kind::Multirange(_)
            );
            assert!(
                is_made_of_others || table::find(&r#type).is_some(),
                "{name}"
            );
        }
    }
}

#[test]
fn ranges_of_everything_have_their_texts() {
    for database in databases() {
        let sql = "SELECT v, v::text FROM (VALUES
        (tstzrange('infinity', NULL)), (tstzrange('2026-01-01', '2026-01-02', '[]')),
        ('(-infinity,\"0044-03-15 12:00:00 BC\")')) AS q (v)
        UNION ALL SELECT NULL, NULL";
        let rows = run(&*database, sql, Vec::new());
        let columns = Columns::new(rows.columns(), Forms::default());
        for row in rows.iter() {
            let text: Option<&str> = row.get(1).unwrap();
            assert_eq!(json(columns.value(row, 0)), json(text));
        }
        let sql = "SELECT v, v::text FROM (VALUES
        (int4multirange(int4range(1, 3), int4range(7, NULL))), ('{[1,2),(,-5]}')) AS q (v)";
        let rows = run(&*database, sql, Vec::new());
        let columns = Columns::new(rows.columns(), Forms::default());
        for row in rows.iter() {
            let text: &str = row.get(1).unwrap();
            assert_eq!(json(columns.value(row, 0)), json(text));
        }
    }
}
