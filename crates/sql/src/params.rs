//! Owns the shape of a statement's text and its parameters on their way to PostgreSQL; must not
//! know jobs nor connections.

use std::{
    borrow::{Borrow, Cow},
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use postgres_types::ToSql;

/// The text of one SQL statement: a literal, or text that is shared and not copied for each job.
#[derive(Clone)]
pub enum Sql {
    /// A literal in the program.
    Static(&'static str),
    /// Text that was made at run time; cloning it copies nothing.
    Shared(Arc<str>),
}

impl Deref for Sql {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// By its text, so that a `&str` finds it in a map.
impl Borrow<str> for Sql {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Sql {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Sql {}

impl Hash for Sql {
    fn hash<H: Hasher>(&self, state: &mut H) {
        str::hash(self, state);
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<String> for Sql {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

impl From<Arc<str>> for Sql {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl From<Cow<'static, str>> for Sql {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Static(text),
            Cow::Owned(text) => text.into(),
        }
    }
}

/// One parameter's value.
pub type Value<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// The values for `$1`, `$2`, ... of a statement. The macro `params!` makes them, `()` is none.
///
/// What goes to a worker is `Params<'static>`, so it owns its values; inside an interaction of
/// `adbapi` they may be borrowed.
#[derive(Default)]
pub struct Params<'a>(Vec<Value<'a>>);

impl<'a> Params<'a> {
    /// No values yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the value of the next parameter.
    pub fn push(&mut self, value: impl ToSql + Sync + Send + 'a) {
        self.0.push(Self::value(value));
    }

    /// One value, for collecting several.
    pub fn value(value: impl ToSql + Sync + Send + 'a) -> Value<'a> {
        Box::new(value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The values, `$1` first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> {
        (self.0.iter()).map(|value| &**value as &(dyn ToSql + Sync))
    }

    /// The values as a driver takes them.
    pub fn refs(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.iter().collect()
    }
}

/// Shows how many there are and never what they are: parameters may be secrets.
impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Params({})", self.0.len())
    }
}

impl From<()> for Params<'_> {
    fn from((): ()) -> Self {
        Self::new()
    }
}

impl<'a> From<Vec<Value<'a>>> for Params<'a> {
    fn from(values: Vec<Value<'a>>) -> Self {
        Self(values)
    }
}

impl<'a> FromIterator<Value<'a>> for Params<'a> {
    fn from_iter<I: IntoIterator<Item = Value<'a>>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Builds [`Params`](crate::Params) from values of any types that can be sent.
///
/// ```
/// use sql::params;
///
/// let values = params!["Dresden", 42_i32, None::<String>];
/// assert_eq!(format!("{values:?}"), "Params(3)");
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __sql_params {
    ($($value:expr),* $(,)?) => {
        <$crate::Params<'_> as ::std::iter::FromIterator<_>>::from_iter([
            $($crate::Params::value($value)),*
        ])
    };
}

#[doc(inline)]
pub use crate::__sql_params as params;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_value() {
        let secret = String::from("hunter2");
        assert_eq!(format!("{:?}", params![&secret, 1_i32]), "Params(2)");
        assert_eq!(format!("{:?}", Params::from(())), "Params(0)");
    }

    #[test]
    fn sql_comes_from_literals_strings_and_shared_text() {
        let shared: Arc<str> = "SELECT 3".into();
        assert_eq!(&*Sql::from("SELECT 1"), "SELECT 1");
        assert_eq!(&*Sql::from(String::from("SELECT 2")), "SELECT 2");
        let Sql::Shared(same) = Sql::from(shared.clone()) else {
            panic!("copied")
        };
        assert!(Arc::ptr_eq(&same, &shared));
    }
}
