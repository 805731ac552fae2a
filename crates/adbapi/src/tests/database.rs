//! The pool keeps the contract of `sql`: the suite that every backend has to pass.

use std::sync::{Arc, OnceLock};

use sql::Database;

use super::{Cluster, LIMIT, pool, pool_on};

fn open(connections: u32) -> Arc<dyn Database> {
    Arc::new(pool(|builder| builder.cp_min(1).cp_max(connections)))
}

sql::database_suite!(open);

/// As for a pooler, and under the eyes of the watch. On a server of its own, because the suite's
/// tables have one name each.
mod without_cache_and_with_a_limit {
    use super::*;

    fn open(connections: u32) -> Arc<dyn Database> {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        let cluster = CLUSTER.get_or_init(Cluster::start_new);
        Arc::new(pool_on(cluster, |builder| {
            let builder = builder.cp_min(1).cp_max(connections);
            builder.statement_cache(0).statement_timeout(LIMIT)
        }))
    }

    sql::database_suite!(open);
}
