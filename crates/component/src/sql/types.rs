//! How values travel between PostgreSQL and WAMP: one table of PostgreSQL's types, from its bytes
//! straight into a payload, and from a payload to parameters. Must not know procedures nor topics.
//!
//! `docs/types.md` has the table. What is written is what PostgreSQL's own `to_json` gives, but for
//! `int8` beyond 2^53, `numeric`, `bytea`, and what is no number of `float4` and `float8`; a
//! `timestamptz` is in UTC always, for its binary form has no time zone.
//!
//! Values of types that are not known here, such as those of extensions, cannot be read in the
//! binary form in which results come. [`as_text`] has PostgreSQL make text of them.

mod argument;

mod binary;
mod bind;
mod bytes;
mod cast;
mod columns;
mod forms;
mod literal;
mod literals;
mod mismatch;
mod names;
mod print;
mod reference;
mod rule;
mod table;
#[cfg(test)]
pub(super) mod tests;
mod text_value;
mod value;

pub use argument::Argument;
pub use cast::as_text;
pub use columns::Columns;
pub use forms::{Forms, Int8Form, NumericForm};
pub use mismatch::Mismatch;
pub use names::{type_name, typescript, typescript_of};
pub use reference::reference;

/// The most dimensions that an array has; PostgreSQL's `MAXDIM`.
const MAX_DIMENSIONS: usize = 6;
