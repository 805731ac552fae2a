//! Holds `docs/errors.md` to the table of errors, and prints it anew when it is asked to.

use std::{env, fs, path::Path};

use super::super::{error_reference, table::STATES};

const BEGIN: &str = "<!-- printed: errors -->\n";
const END: &str = "<!-- end -->";

#[test]
fn the_document_shows_the_table_of_errors() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let document = fs::read_to_string(&file).unwrap();
    let from = document.find(BEGIN).expect("its begin is marked") + BEGIN.len();
    let to = from + document[from..].find(END).expect("its end is marked");
    let mut renewed = document.clone();
    renewed.replace_range(from..to, &format!("\n{}\n\n", error_reference()));
    if env::var_os("RENEW_DOCS").is_some() {
        return fs::write(&file, renewed).unwrap();
    }
    assert!(
        document == renewed,
        "docs/errors.md is stale; renew it by\n    \
         RENEW_DOCS=1 cargo test -p component --lib the_document_shows_the_table"
    );
}

/// The classes of errors in PostgreSQL's appendix A.
const CLASSES: &str = "08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D \
                       3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX";

#[test]
fn every_class_has_a_row_and_no_row_hides_another() {
    for class in CLASSES.split(' ') {
        assert!(STATES.iter().any(|row| row.state == class), "{class}");
    }
    for (at, row) in STATES.iter().enumerate() {
        let hiding = |before: &&super::super::table::StateRow| row.state.starts_with(before.state);
        let hiding = STATES[..at].iter().find(hiding);
        assert!(hiding.is_none(), "{}: {hiding:?}", row.state);
    }
    assert_eq!(STATES.last().unwrap().state, "");
}
