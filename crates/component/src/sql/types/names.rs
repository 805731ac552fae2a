//! Owns the names of types, for people and for TypeScript. Must not know values.

use sql::types::{Kind, Type};

use super::{
    forms::{Forms, Int8Form, NumericForm},
    table,
};

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

/// The type in TypeScript of what a parameter takes; NULL is not among it, but for what is inside of
/// arrays and objects.
pub fn typescript(r#type: &Type) -> String {
    written(r#type, None)
}

/// The same of what a value becomes in JSON in these forms.
pub fn typescript_of(r#type: &Type, forms: Forms) -> String {
    written(r#type, Some(forms))
}

fn written(r#type: &Type, forms: Option<Forms>) -> String {
    let typescript = |r#type: &Type| written(r#type, forms);
    if let Some((group, _)) = table::find(r#type) {
        let form = forms.and_then(|forms| of_form(r#type, forms));
        return form.unwrap_or(group.typescript).to_owned();
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

/// What an option makes of a type.
fn of_form(r#type: &Type, forms: Forms) -> Option<&'static str> {
    match *r#type {
        Type::INT8 => match forms.int8 {
            Int8Form::Safe => None,
            Int8Form::Number => Some("number"),
            Int8Form::String => Some("string"),
        },
        Type::NUMERIC if forms.numeric == NumericForm::String => Some("string"),
        _ => None,
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
