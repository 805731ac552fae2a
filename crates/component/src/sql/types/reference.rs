//! Owns the table of types as `docs/types.md` prints it. Must not know where it is printed.

use sql::types::Type;

use super::{
    names::type_name,
    table::{Group, TABLE},
};

/// The table of PostgreSQL's own types, in Markdown. Those that are alike have one line.
pub fn reference() -> String {
    let mut lines = vec![
        "| type | in JSON | what a parameter takes |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    let is_alike = |a: &Group, b: &Group| (a.json, a.takes) == (b.json, b.takes);
    for groups in TABLE.chunk_by(is_alike) {
        let types = groups.iter().flat_map(|group| group.types);
        let names: Vec<_> = types
            .map(|(known, _)| format!("`{}`", name(known)))
            .collect();
        let Group { json, takes, .. } = &groups[0];
        lines.push(format!("| {} | {json} | {takes} |", names.join(", ")));
    }
    lines.join("\n")
}

fn name(r#type: &Type) -> String {
    match &*type_name(r#type) {
        // Apart from `char`, of which PostgreSQL thinks as `bpchar`.
        "char" => "\"char\"".to_owned(),
        name => name.to_owned(),
    }
}
