//! What knows both SQL and WAMP: procedures that are written in SQL, and how values travel. Must not
//! know which backend runs the statements, nor sockets.

mod check;
mod class;
mod definitions;
mod files;
mod identity;
mod options;
mod procedure;
mod text;
pub mod types;

pub use check::{SqlCheck, check};
pub use class::CLASSNAME;
pub(crate) use class::Procedures;
pub use options::{OPTIONS, OptionKind, OptionPlace, OptionRow};
