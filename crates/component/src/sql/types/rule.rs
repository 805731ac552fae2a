//! Owns how the values of a type are written, its parts included. Must not know values.

use sql::types::{Kind, Type};

use super::{
    literals::{delimiter, is_vector},
    print::Print,
    table::{self, Out},
};

/// How the values of a type are written.
pub(super) enum Rule {
    One(Out),
    /// Of any number of dimensions; with what stands between its elements in text.
    Array(Box<Self>, char),
    Composite(Vec<(String, Self)>),
    /// A row that says for itself of which types it is.
    Record,
    Range(Print),
    Multirange(Print),
    /// PostgreSQL has to make it text.
    Cast,
}

impl Rule {
    pub(super) fn of(r#type: &Type) -> Self {
        if let Some((_, out)) = table::find(r#type) {
            return out.map_or(Self::Cast, Self::One);
        }
        match r#type.kind() {
            Kind::Enum(_) => Self::One(Out::Chars),
            Kind::Domain(base) => Self::of(base),
            Kind::Array(element) if is_vector(r#type) => Self::Array(Self::of(element).into(), ' '),
            Kind::Array(element) => Self::Array(Self::of(element).into(), delimiter(element)),
            Kind::Composite(fields) => Self::Composite(
                (fields.iter().map(|field| {
                    let rule = Self::of(field.type_());
                    (field.name().to_owned(), rule)
                }))
                .collect(),
            ),
            Kind::Range(of) => Self::printed(of).map_or(Self::Cast, Self::Range),
            Kind::Multirange(of) => Self::printed(of).map_or(Self::Cast, Self::Multirange),
            Kind::Pseudo if *r#type == Type::RECORD => Self::Record,
            _ => Self::Cast,
        }
    }

    /// How a range prints its bounds, where it can.
    fn printed(r#type: &Type) -> Option<Print> {
        match Self::of(r#type) {
            Self::One(out) => Some(out.print()),
            _ => None,
        }
    }

    /// Whether PostgreSQL has to make it text, or something in it.
    pub(super) fn has_cast(&self) -> bool {
        match self {
            Self::Cast => true,
            Self::Array(element, _) => element.has_cast(),
            Self::Composite(fields) => fields.iter().any(|(_, rule)| rule.has_cast()),
            Self::One(_) | Self::Record | Self::Range(_) | Self::Multirange(_) => false,
        }
    }
}
