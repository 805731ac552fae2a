//! Owns the table of types as `docs/types.md` prints it. Must not know where it is printed.

use super::{
    names::type_name,
    table::{Group, TABLE},
};

/// The table of PostgreSQL's own types, in Markdown.
pub fn reference() -> String {
    let mut lines = vec![
        "| type | in JSON | what a parameter takes |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    for Group {
        types, json, takes, ..
    } in TABLE
    {
        let names: Vec<_> = (types.iter())
            .map(|(known, _)| match &*type_name(known) {
                // Apart from `character`, of which PostgreSQL thinks as `bpchar`.
                "char" => "`\"char\"`".to_owned(),
                name => format!("`{name}`"),
            })
            .collect();
        lines.push(format!("| {} | {json} | {takes} |", names.join(", ")));
    }
    lines.join("\n")
}
