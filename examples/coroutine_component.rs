//! A node with a component class on txpostgres, whose interactions are coroutines. Owns the class;
//! all else is the library's.
//!
//! ```sh
//! cargo run --example coroutine_component -- \
//!     --config examples/coroutine_component.json --embedded-postgres
//! ```
//!
//! The configuration names the class, `shop.Stock`, and its database with `"backend": "txpostgres"`.
//! Now any WAMP client can call `com.example.sell` in the realm `realm1`.

use std::process::ExitCode;

use wampgres::{
    cli,
    component::{Answer, Classes, Component, Error, Invocation, Procedure, Reply, Setup},
    sql::{self, ErrorKind, params},
    txpostgres::ConnectionPool,
};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS stock (item text PRIMARY KEY, amount int NOT NULL)";
const DELIVER: &str = "INSERT INTO stock VALUES ($1, $2) ON CONFLICT (item) \
                       DO UPDATE SET amount = stock.amount + excluded.amount";
const AMOUNT: &str = "SELECT amount FROM stock WHERE item = $1 FOR UPDATE";
const TAKE: &str = "UPDATE stock SET amount = amount - $2 WHERE item = $1";

struct Stock {
    db: ConnectionPool,
}

impl Component for Stock {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        let db = setup.database()?.txpostgres()?;
        Ok(Self { db })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new("com.example.deliver", Self::deliver),
            Procedure::new("com.example.sell", Self::sell),
        ]
    }
}

impl Stock {
    /// `deliver("apple", 5)` adds to the stock.
    fn deliver(&self, call: Invocation) -> Answer {
        let (item, amount): (String, i32) = call.args()?;
        let delivered = self.db.run_interaction(move |mut txn| async move {
            txn.execute(TABLE, ()).await?;
            txn.execute(DELIVER, params![item, amount]).await
        });
        Reply::later(delivered)
    }

    /// `sell("apple", 2)` answers how many are left. With an error nothing is changed.
    fn sell(&self, call: Invocation) -> Answer {
        let (item, amount): (String, i32) = call.args()?;
        let left = self.db.run_interaction(move |mut txn| async move {
            // Each `await` gives the thread back until PostgreSQL has answered.
            let rows = txn.query(AMOUNT, params![item.clone()]).await?;
            let there: i32 = rows.row(0).map_or(Ok(0), |row| row.get(0))?;
            if there < amount {
                let why = format!("{there} are left");
                return Err(sql::Error::new(ErrorKind::Other, why));
            }
            txn.execute(TAKE, params![item, amount]).await?;
            Ok(there - amount)
        });
        Reply::later(left)
    }
}

fn main() -> ExitCode {
    cli::run(&Classes::default().with::<Stock>("shop.Stock"))
}
