//! The four ways to ask a pool of txpostgres, all on the I/O threads, where nothing waits. Must not
//! know how calls get here.

use sql::Rows;
use txpostgres::{ConnectionPool, Transaction};

use super::{
    super::{Answer, Reply},
    Now, python_str,
};

impl Now for ConnectionPool {
    fn dbnow(&self) -> Answer {
        let d = self.run_query("SELECT now()", ());
        Reply::later(d.and_then(|rows| format(&rows)))
    }

    fn dbnow_inline(&self) -> Answer {
        let rows = self.run_query("SELECT now()", ());
        let res = rows.and_then(|rows| format(&rows));
        Reply::later(res)
    }

    fn dbnow_interaction(&self) -> Answer {
        async fn run(mut txn: Transaction) -> Result<String, sql::Error> {
            format(&txn.query("SELECT now()", ()).await?)
        }
        Reply::later(self.run_interaction(run))
    }

    fn dbnow_interaction_coroutine(&self) -> Answer {
        Reply::later(self.run_interaction(|mut txn| async move {
            let rows = txn.query("SELECT now()", ()).await?;
            format(&rows)
        }))
    }
}

fn format(rows: &Rows) -> Result<String, sql::Error> {
    let row = rows.row(0).expect("a SELECT without FROM gives a row");
    row.get(0).map(python_str)
}
