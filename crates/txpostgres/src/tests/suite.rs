//! The pool keeps the contract of `sql`: the suite that every backend has to pass.

use std::sync::Arc;

use sql::Database;

use super::pool;

fn open(connections: u32) -> Arc<dyn Database> {
    Arc::new(pool(|builder| builder.cp_min(1).cp_max(connections)))
}

sql::database_suite!(open);
