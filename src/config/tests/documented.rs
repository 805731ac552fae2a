//! Holds `docs/config.md` to the tables of keys, and prints them anew when it is asked to.

use std::{env, fs, path::Path};

use crate::config::reference;

/// Set to anything, it lets the test write the document instead of comparing it.
pub(super) const RENEW: &str = "RENEW_DOCS";

/// The document with each part between its two marks printed from the tables.
fn renewed(document: &str) -> String {
    let mut document = document.to_owned();
    for (heading, printed) in reference() {
        let begin = format!("### {heading}\n");
        let at = document
            .find(&begin)
            .unwrap_or_else(|| panic!("docs/config.md has no heading {begin}"));
        let begin = format!("<!-- printed: {heading} -->\n");
        let from = document[at..]
            .find(&begin)
            .unwrap_or_else(|| panic!("docs/config.md has no mark {begin}"));
        let from = at + from + begin.len();
        let to = document[from..]
            .find("<!-- end -->")
            .unwrap_or_else(|| panic!("docs/config.md has no end of {begin}"));
        document.replace_range(from..from + to, &format!("\n{printed}\n\n"));
    }
    document
}

#[test]
fn the_document_shows_the_tables_as_they_are() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    let document = fs::read_to_string(&file).unwrap();
    let renewed = renewed(&document);
    if env::var_os(RENEW).is_some() {
        return fs::write(&file, renewed).unwrap();
    }
    let stale = (document.lines().zip(renewed.lines())).find(|(is, should)| is != should);
    assert!(
        document == renewed,
        "docs/config.md is stale; renew it by\n    \
         {RENEW}=1 cargo test --lib the_document_shows_the_tables\n\
         the first difference: {stale:#?}"
    );
}

#[test]
fn every_mark_of_the_document_has_a_table() {
    let document = include_str!("../../../docs/config.md");
    let parts = reference();
    for mark in document.lines().filter(|l| l.starts_with("<!-- printed: ")) {
        let is_known =
            |(heading, _): &(&str, String)| mark == format!("<!-- printed: {heading} -->");
        assert!(parts.iter().any(is_known), "{mark}");
    }
}
