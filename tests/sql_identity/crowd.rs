//! Many callers at once on few connections, with errors, cancellations and connections that are lost:
//! each sees its own rows, always.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{database, extra, start};
use crate::support::{
    answer::Answer,
    backends::{Backend, on_each_backend},
    postgres::Database,
    websocket::Client,
};

on_each_backend!(thousands_of_interleaved_calls_see_their_callers_own_rows);

const CALLERS: u64 = 8;
/// Each makes so many calls, of which so many are under way at once.
const CALLS: usize = 400;
const PENDING: usize = 6;
const SEED: u64 = 20_270_317;

const MINE: &str = "com.notes.mine";
const SEVERAL: &str = "com.notes.several";
const FAIL: &str = "com.notes.fail";
const SLOW: &str = "com.notes.slow";
const WITHOUT: &str = "com.notes.without";

fn thousands_of_interleaved_calls_see_their_callers_own_rows(backend: Backend) {
    let database = database("sqlid_crowd", backend);
    let mine = "SELECT owner FROM notes";
    let more = json!({
        "procedures": {
            SEVERAL: {"sql": format!("SELECT 1;\n-- @returns arrays\n{mine}")},
            FAIL: {"sql": format!("{mine} WHERE 1 / (length(owner) * 0) = 0")},
            SLOW: {"sql": format!("{mine}, pg_sleep(0.01)"), "returns": "arrays"},
            // The login sees all rows; who called before is nobody's business.
            WITHOUT: {"sql": "SELECT wampgres.authid()", "returns": "arrays", "identity": false}
        }
    });
    let mut extra = extra(&database, more);
    extra["database"]["cp_max"] = json!(3);
    let node = start(extra);
    let address = node.address();
    let is_over = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let ender = scope.spawn(|| end_connections(&database, &is_over));
        let callers: Vec<_> = (0..CALLERS)
            .map(|n| scope.spawn(move || Caller::new(Client::join(address), n).run()))
            .collect();
        let answers: Vec<_> = callers
            .into_iter()
            .map(|caller| caller.join().expect("a caller sees its own rows"))
            .collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(ender.join().expect("it ends connections") > 0);
        answers
    });
    for (rows, errors) in answers {
        assert!(
            rows > CALLS / 3,
            "{rows} of {CALLS} calls gave rows: {errors:?}"
        );
        assert!(
            errors.contains_key("wamp.error.invalid_argument"),
            "{errors:?}"
        );
        assert!(errors.contains_key("wamp.error.canceled"), "{errors:?}");
    }
}

/// Ends all connections of the node again and again, and says how many.
fn end_connections(database: &Database, is_over: &AtomicBool) -> usize {
    let mut client = database.client();
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()
               AND backend_type = 'client backend'";
    let mut ended = 0;
    while !is_over.load(Ordering::Relaxed) {
        ended += client.query(sql, &[]).expect("a superuser").len();
        // A while in which calls are answered.
        client
            .batch_execute("SELECT pg_sleep(0.5)")
            .expect("it can wait");
    }
    ended
}

struct Caller {
    client: Client,
    random: StdRng,
    /// What was asked and not answered yet.
    pending: BTreeMap<u64, &'static str>,
    /// Answers with rows.
    rows: usize,
    errors: BTreeMap<String, usize>,
}

impl Caller {
    fn new(client: Client, n: u64) -> Self {
        Self {
            client,
            random: StdRng::seed_from_u64(SEED + n),
            pending: BTreeMap::new(),
            rows: 0,
            errors: BTreeMap::new(),
        }
    }

    fn run(mut self) -> (usize, BTreeMap<String, usize>) {
        self.add();
        for _ in 0..CALLS {
            let uri = match self.random.random_range(0..100) {
                0..50 => MINE,
                50..65 => SEVERAL,
                65..75 => FAIL,
                75..85 => SLOW,
                _ => WITHOUT,
            };
            let request = self.client.call(uri, &json!([]));
            self.pending.insert(request, uri);
            if uri == SLOW && self.random.random_bool(0.5) {
                let modes = ["skip", "kill", "killnowait"];
                let mode = modes[self.random.random_range(0..modes.len())];
                self.client.cancel(request, Some(mode));
            }
            while self.pending.len() > PENDING {
                self.hear();
            }
        }
        while !self.pending.is_empty() {
            self.hear();
        }
        (self.rows, self.errors)
    }

    /// Makes sure that there is a row of its own.
    fn add(&mut self) {
        loop {
            let request = self.client.call("com.notes.add", &json!(["mine"]));
            if self.client.answer_to(request).outcome.is_ok() {
                return;
            }
        }
    }

    /// An answer, which must have nobody else's rows.
    fn hear(&mut self) {
        let Answer { request, outcome } = self.client.answer();
        let asked = self.pending.remove(&request);
        let asked = asked.unwrap_or_else(|| panic!("{request} was answered or never asked"));
        match outcome {
            Err(error) => {
                let known = [
                    "canceled",
                    "unavailable",
                    "runtime_error",
                    "invalid_argument",
                ];
                let uri = error.uri.strip_prefix("wamp.error.").unwrap_or_default();
                assert!(known.contains(&uri), "{asked}: {error:?}");
                *self.errors.entry(error.uri).or_default() += 1;
            }
            Ok(rows) if asked == WITHOUT => assert_eq!(rows, json!([[null]])),
            Ok(rows) => {
                let owners: Vec<_> = rows
                    .as_array()
                    .expect("rows")
                    .iter()
                    .map(|row| &row[0])
                    .collect();
                let own = Value::String(self.client.session().to_string());
                assert!(!owners.is_empty(), "{asked} gave nothing");
                assert!(owners.iter().all(|owner| **owner == own), "{asked}: {rows}");
                self.rows += 1;
            }
        }
    }
}
