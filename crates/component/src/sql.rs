//! What knows both SQL and WAMP: procedures that are written in SQL, and how values travel. Must not
//! know which backend runs the statements, nor sockets.

mod check;
mod class;
mod definitions;
mod descriptions;
mod explain;
mod files;
mod options;
mod procedure;
mod text;
pub mod types;

pub use check::{SqlCheck, check, describe};
pub use class::CLASSNAME;
pub(crate) use class::Procedures;
pub use descriptions::DESCRIBE;
pub(crate) use descriptions::Descriptions;
pub use explain::explain;
pub use options::{OPTIONS, OptionKind, OptionPlace, OptionRow};
pub use procedure::{ExplainOptions, ProcedureDescription, StatementPlan};
