//! README's table for those who come from the reference: every name of its chapter has a row, and
//! what the rows point to is there. Owns the list of the names.

use std::path::Path;

/// What the chapter on PostgreSQL names.
const NAMES: &str = "adbapi txpostgres aiopg psycopg2 psycopg2cffi Twistar SQLAlchemy libpq CPython \
    PyPy CFFI Twisted asyncio DBI runQuery runOperation runInteraction cp_min cp_max cp_noisy \
    cp_openfun cp_reconnect cp_good_sql get_backend_pid start() execute fetchall addCallback \
    inlineCallbacks returnValue ApplicationSession ApplicationRunner onJoin wamp.register \
    hello.MyDatabaseComponent com.example.now.v1 AutobahnJS index.htm config.json";

#[test]
fn every_name_of_the_reference_is_in_the_table() {
    let readme = include_str!("../README.md");
    let (_, after) = readme
        .split_once("## Coming from the reference\n")
        .expect("the section");
    let (section, _) = after.split_once("\n## ").expect("the next section");
    let rows: Vec<(&str, &str)> = (section.lines())
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .collect();
    let named = |name: &str| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '(' || c == ')' || c == '.';
        (rows
            .iter()
            .flat_map(|(there, _)| there.split(|c| !is_word(c))))
        .any(|word| {
            word == name
                || word.rsplit('.').next() == Some(name)
                || word.starts_with(&format!("{name}("))
        })
    };
    let missing: Vec<_> = NAMES.split(' ').filter(|name| !named(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for (_, here) in &rows {
        for link in here
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
            assert!(file.exists(), "{link} is not there");
        }
    }
}
