//! What knows both SQL and WAMP: procedures that are written in SQL, and how values travel. Must not
//! know which backend runs the statements, nor sockets.

mod check;
mod class;
mod databases;
mod definitions;
mod files;
mod options;
mod procedure;
mod reloading;
mod served;
mod text;
pub mod types;
mod watching;

pub use check::{SqlCheck, check};
pub use class::CLASSNAME;
pub(crate) use class::Procedures;
pub use options::{OPTIONS, OptionKind, OptionPlace, OptionRow};
