//! Owns the names of types, for people and for TypeScript. Must not know values.

use sql::types::{Kind, Type};

use super::table;

/// What PostgreSQL's users call a type: `int4`, `text[]`, a name with its schema where it is not one
/// of PostgreSQL's own.
pub fn type_name(r#type: &Type) -> String {
    match r#type.kind() {
        Kind::Array(element) if r#type.name().starts_with('_') => {
            format!("{}[]", type_name(element))
        }
        _ if matches!(r#type.schema(), "pg_catalog" | "public") => r#type.name().to_owned(),
        _ => format!("{}.{}", r#type.schema(), r#type.name()),
    }
}

/// The type in TypeScript of what a value becomes in JSON; NULL is not among it, but for what is
/// inside of arrays and objects.
pub fn typescript(r#type: &Type) -> String {
    if let Some((group, _)) = table::find(r#type) {
        return group.typescript.to_owned();
    }
    match r#type.kind() {
        Kind::Enum(labels) if labels.is_empty() => "never".to_owned(),
        Kind::Enum(labels) => {
            let labels: Vec<_> = labels.iter().map(|label| json(label)).collect();
            labels.join(" | ")
        }
        Kind::Domain(base) => typescript(base),
        Kind::Array(element) => format!("Array<{} | null>", typescript(element)),
        Kind::Composite(fields) => {
            let fields: Vec<_> = (fields.iter())
                .map(|field| {
                    format!(
                        "{}: {} | null",
                        json(field.name()),
                        typescript(field.type_())
                    )
                })
                .collect();
            format!("{{ {} }}", fields.join("; "))
        }
        Kind::Pseudo if *r#type == Type::RECORD => "Record<string, unknown>".to_owned(),
        Kind::Pseudo => "unknown".to_owned(),
        _ => "string".to_owned(),
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
