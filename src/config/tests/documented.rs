//! Holds `docs/config.md` to the tables of keys.

use crate::config::{
    keys::{ALL_CHOICES, ALL_KEYS, Use},
    libpq::{Means, PARAMETERS, Protects},
};

const DOCUMENT: &str = include_str!("../../../docs/config.md");

/// The rows of the tables and lists below a heading: its section.
fn section(heading: &str) -> &'static str {
    let start = DOCUMENT
        .find(&format!("\n### {heading}\n"))
        .unwrap_or_else(|| panic!("docs/config.md has no section ### {heading}"));
    let section = &DOCUMENT[start + 1..];
    &section[..section.find("\n#").unwrap_or(section.len())]
}

/// The text after `label` in a section, up to the end of its paragraph.
fn paragraph<'a>(section: &'a str, label: &str) -> &'a str {
    let Some(start) = section.find(label) else {
        return "";
    };
    let text = &section[start..];
    &text[..text.find("\n\n").unwrap_or(text.len())]
}

#[test]
fn every_key_is_documented_as_what_it_is() {
    for keys in ALL_KEYS {
        let section = section(keys.of);
        for (key, used) in keys.keys {
            let documented = match used {
                Use::Served => section.contains(&format!("\n| `{key}` |")),
                Use::Inert { .. } => {
                    paragraph(section, "Accepted, without effect:").contains(&format!("`{key}`"))
                }
                Use::NotYet => paragraph(section, "Not served yet:").contains(&format!("`{key}`")),
                Use::Instead(_) => true,
            };
            assert!(
                documented,
                "docs/config.md, {}: `{key}` is {used:?}",
                keys.of
            );
        }
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            let key = row.split('`').nth(1).unwrap();
            assert_eq!(
                keys.use_of(key),
                Some(&Use::Served),
                "docs/config.md, {}: `{key}` is documented, but not served",
                keys.of
            );
        }
    }
}

#[test]
fn every_choice_is_documented_as_what_it_is() {
    for (heading, choice) in ALL_CHOICES {
        let section = section(heading);
        for (label, words) in [
            ("Served:", choice.served),
            ("Not served yet:", choice.not_yet),
        ] {
            for word in words {
                assert!(
                    paragraph(section, label).contains(&format!("`{word}`")),
                    "docs/config.md, {heading}: `{word}` is missing after {label}"
                );
            }
        }
    }
}

/// The rows that `docs/config.md` has for the parameters of libpq.
fn parameters() -> String {
    let code = |text: &str| match text {
        "" => String::new(),
        text => format!("`{text}`"),
    };
    let rows = PARAMETERS.iter().map(|parameter| {
        let here = match parameter.means {
            Means::Key(key) => format!("fills in `{key}`"),
            Means::NoEffect(why) => format!("no effect: {why}"),
            Means::NoEffectIf(values, why) => {
                let values: Vec<String> = values.iter().map(|value| code(value)).collect();
                format!("no effect if {}, else refused: {why}", values.join(", "))
            }
            Means::Refused(Protects::Tls, why) => format!("refused where there is TLS: {why}"),
            Means::Refused(Protects::UnixSocket, why) => {
                format!("refused on a Unix socket: {why}")
            }
            Means::Session(setting) => format!("sets `{setting}` in each session"),
        };
        let (name, variable) = (code(parameter.name), code(parameter.variable));
        format!("| {name} | {variable} | {here} |")
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_parameter_of_libpq_is_documented_as_what_it_is() {
    let rows = parameters();
    assert!(
        section("Parameters of libpq").contains(&rows),
        "docs/config.md, Parameters of libpq: should have these rows:\n{rows}"
    );
}
