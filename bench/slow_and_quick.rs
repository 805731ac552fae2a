//! A node with a slow procedure and a quick one on one database, for `bench/fairness.py`. Owns the
//! two; must not know which backend runs them.

use std::process::ExitCode;

use wampgres::{
    cli,
    component::{Answer, Classes, Component, Error, Pool, Procedure, Reply, Setup},
    sql::{Job, Statement},
};

struct SlowAndQuick(Pool);

impl Component for SlowAndQuick {
    const NEEDS_DATABASE: bool = true;

    fn on_join(setup: Setup) -> Result<Self, Error> {
        Ok(Self(setup.database()?))
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new("com.example.slow", |this: &Self, _| {
                this.run("SELECT 1 FROM pg_sleep(5)")
            }),
            Procedure::new("com.example.quick", |this: &Self, _| this.run("SELECT 1")),
        ]
    }
}

impl SlowAndQuick {
    fn run(&self, sql: &'static str) -> Answer {
        let rows = self.0.submit(Job::new(Statement::new(sql, ())));
        Reply::later(rows.map(|results| results.first.len()))
    }
}

fn main() -> ExitCode {
    cli::run(&Classes::default().with::<SlowAndQuick>("bench.SlowAndQuick"))
}
