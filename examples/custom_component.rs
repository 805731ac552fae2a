//! A node with a component class of one's own. Owns the class; all else is the library's.
//!
//! ```sh
//! cargo run --example custom_component -- \
//!     --config examples/custom_component.json --embedded-postgres
//! ```
//!
//! The configuration names the class, `shop.Till`, and its database. Now any WAMP client can
//! call `com.example.add2` and `com.example.total` in the realm `realm1`.

use std::process::ExitCode;

use wampgres::{
    adbapi::{ConnectionPool, params},
    cli,
    component::{Answer, Classes, Component, Error, Invocation, Procedure, Reply, Setup},
};

struct Till {
    db: ConnectionPool,
}

impl Component for Till {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        // It connects when it is needed; `start` would connect now.
        let db = setup.database()?.adbapi()?;
        Ok(Self { db })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new("com.example.add2", Self::add2),
            Procedure::new("com.example.total", Self::total),
        ]
    }
}

impl Till {
    /// Answers at once.
    fn add2(&self, call: Invocation) -> Answer {
        let (a, b): (i64, i64) = call.args()?;
        Reply::now(a + b)
    }

    /// Answers when the database has: `total([1, 2, 3])` is 6.
    fn total(&self, call: Invocation) -> Answer {
        let (prices,): (Vec<i32>,) = call.args()?;
        let rows = self
            .db
            .run_query("SELECT sum(p) FROM unnest($1::int[]) AS p", params![prices]);
        Reply::later(rows.map(|rows| rows[0].get::<_, Option<i64>>(0)))
    }
}

fn main() -> ExitCode {
    cli::run(&Classes::default().with::<Till>("shop.Till"))
}
