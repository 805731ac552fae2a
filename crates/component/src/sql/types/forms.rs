//! Owns the options of how values are written. Must not know where they are set.

/// How values are written where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// Of `int8`.
    pub int8: Int8Form,
    /// Of `numeric`.
    pub numeric: NumericForm,
}

/// How an `int8` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Int8Form {
    /// A number, but in JSON a string beyond 2^53, where a number of JavaScript is no longer it.
    #[default]
    Safe,
    /// Always a number.
    Number,
    /// Always a string.
    String,
}

/// How a `numeric` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumericForm {
    /// A string of all its digits.
    #[default]
    String,
    /// A number: with all its digits in JSON, else the nearest `float8`.
    Number,
}

impl Int8Form {
    /// What the option may be called.
    pub const NAMES: [&str; 3] = ["safe", "number", "string"];

    /// The form of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "safe" => Some(Self::Safe),
            "number" => Some(Self::Number),
            "string" => Some(Self::String),
            _ => None,
        }
    }
}

impl NumericForm {
    /// What the option may be called.
    pub const NAMES: [&str; 2] = ["string", "number"];

    /// The form of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "string" => Some(Self::String),
            "number" => Some(Self::Number),
            _ => None,
        }
    }
}
