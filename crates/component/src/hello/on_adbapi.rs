//! The four ways to ask a pool of adbapi: what takes time runs on its workers. Must not know how calls
//! get here.

use adbapi::{ConnectionPool, Row, Transaction};

use super::{
    super::{Answer, Reply},
    Now, python_str,
};

impl Now for ConnectionPool {
    fn dbnow(&self) -> Answer {
        let d = self.run_query("SELECT now()", ());
        Reply::later(d.map(|rows| format(&rows[0])))
    }

    fn dbnow_inline(&self) -> Answer {
        Reply::later(self.run_with_connection(|conn| {
            let rows = conn.query("SELECT now()", ())?;
            Ok(format(&rows[0]))
        }))
    }

    fn dbnow_interaction(&self) -> Answer {
        Reply::later(self.run_interaction(|txn| {
            txn.execute("SELECT now()", ())?;
            let rows = txn.fetch_all();
            Ok(format(&rows[0]))
        }))
    }

    fn dbnow_interaction_coroutine(&self) -> Answer {
        fn run(txn: &mut Transaction<'_>) -> Result<String, adbapi::Error> {
            let rows = txn.query("SELECT now()", ())?;
            Ok(format(&rows[0]))
        }
        Reply::later(self.run_interaction(run))
    }
}

fn format(row: &Row) -> String {
    python_str(row.get(0))
}
