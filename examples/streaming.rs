//! A component whose answers are larger than anybody wants to hold: rows go to the caller in parts,
//! as fast as it takes them. Owns the class; all else is the library's.
//!
//! ```sh
//! cargo run --example streaming -- --config examples/streaming.json --embedded-postgres
//! ```
//!
//! In AutobahnJS: `session.call("com.example.numbers", [1000000], {}, {receive_progress: true})`.

use std::{
    num::{NonZeroU32, NonZeroU64},
    process::ExitCode,
};

use wampgres::{
    cli,
    component::{Answer, Classes, Component, Error, Invocation, Pool, Procedure, Reply, Setup},
    sql::{Settings, Statement, params},
};

/// How many rows a part has.
const BATCH: NonZeroU32 = NonZeroU32::new(1000).expect("not 0");
/// How many rows who takes no parts can have.
const MOST: i64 = 10_000;
/// How many answers run at once: each has a connection until its caller has taken all of it, and the
/// pool has ten of them.
const AT_ONCE: NonZeroU64 = NonZeroU64::new(5).expect("not 0");

const NUMBERS: &str = "SELECT n, md5(n::text)
    FROM (SELECT generate_series(1, $1::bigint) AS n) AS numbers";

struct Exports {
    db: Pool,
}

impl Component for Exports {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        let db = setup.database()?;
        Ok(Self { db })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new("com.example.numbers", Self::numbers).concurrency(AT_ONCE),
            Procedure::new("com.example.one", Self::one),
        ]
    }
}

impl Exports {
    /// So many numbers and their hashes, in parts; or as a whole, if they are few, for a caller that
    /// takes no parts.
    fn numbers(&self, call: Invocation) -> Answer {
        let (count,): (i64,) = call.args()?;
        if !call.wants_progress() {
            return self.few_numbers(count);
        }
        let numbers = Statement::new(NUMBERS, params![count]);
        let rows = self.db.stream(Settings::new(), numbers, BATCH);
        Reply::rows(&call, rows, |batch| batch.deserialize::<(i64, String)>())
    }

    fn few_numbers(&self, count: i64) -> Answer {
        if count > MOST {
            return Err(Error::invalid_argument(format_args!(
                "{count} rows are more than {MOST}: call with the option receive_progress"
            )));
        }
        let numbers = Statement::new(NUMBERS, params![count]);
        let results = self.db.submit(numbers.into());
        Reply::later(results.and_then(|results| results.first.deserialize::<(i64, String)>()))
    }

    /// Something quick on the same pool.
    fn one(&self, _: Invocation) -> Answer {
        let one = self.db.submit(Statement::new("SELECT 1", ()).into());
        Reply::later(
            one.and_then(|results| results.first.deserialize::<(i32,)>())
                .map(|rows| rows[0].0),
        )
    }
}

fn main() -> ExitCode {
    cli::run(&Classes::default().with::<Exports>("shop.Exports"))
}
