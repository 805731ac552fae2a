//! Holds `docs/types.md` to the table of types, and prints it anew when it is asked to.

use std::{env, fs, path::Path};

use super::super::reference;

const BEGIN: &str = "<!-- printed: types -->\n";
const END: &str = "<!-- end -->";

#[test]
fn the_document_shows_the_table_of_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/types.md");
    let document = fs::read_to_string(&file).unwrap();
    let from = document.find(BEGIN).expect("its begin is marked") + BEGIN.len();
    let to = from + document[from..].find(END).expect("its end is marked");
    let mut renewed = document.clone();
    renewed.replace_range(from..to, &format!("\n{}\n\n", reference()));
    if env::var_os("RENEW_DOCS").is_some() {
        return fs::write(&file, renewed).unwrap();
    }
    assert!(
        document == renewed,
        "docs/types.md is stale; renew it by\n    \
         RENEW_DOCS=1 cargo test -p component --lib the_document_shows_the_table"
    );
}
