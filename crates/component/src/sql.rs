//! What knows both SQL and WAMP: procedures that are written in SQL, topics that SQL publishes to, and
//! how values travel. Must not know which backend runs the statements, nor sockets.

mod applying;
mod catalogue;
mod check;
mod class;
mod databases;
mod definitions;
mod descriptions;
mod files;
mod function;
mod functions;
mod identity;
mod install;
mod options;
mod procedure;
mod reloading;
mod schemas;
mod served;
mod target;
mod text;
mod topics;
pub mod types;
mod unserved;
mod watching;

pub use check::{SqlCheck, check};
pub use class::CLASSNAME;
pub(crate) use class::Procedures;
pub use descriptions::DESCRIBE;
pub(crate) use descriptions::Descriptions;
pub use install::Installation;
pub use options::{OPTIONS, OptionKind, OptionPlace, OptionRow};
pub use procedure::{ExplainOptions, ProcedureDescription, StatementPlan};
pub use topics::{CHANNEL_OPTIONS, EVENTS_AT_ONCE, OCTETS_AT_ONCE, OUTBOX_OPTIONS};
pub use unserved::{SqlComponent, describe, explain};
