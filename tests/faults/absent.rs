//! A database that is not there, and many callers.

use std::time::{Duration, Instant};

use serde_json::json;

use super::crowd::{Calls, Crowd, nothing};
use crate::support::{
    backends::{Backend, on_each_backend},
    node::{HERE, Node, config, container, router},
    postgres::Postgres,
    wait,
};

const CALLERS: usize = 200;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The bar is a second. A pause between attempts that grows would be far beyond this.
const FIRST_SUCCESS: Duration = Duration::from_secs(2);

on_each_backend![every_call_has_its_answer_in_time_and_succeeds_soon_after_the_databases_return,];

fn every_call_has_its_answer_in_time_and_succeeds_soon_after_the_databases_return(
    backend: Backend,
) {
    let postgres = Postgres::stopped();
    let mut extra = postgres.database().on(backend).extra();
    extra["connect_timeout"] = json!(CONNECT_TIMEOUT.as_secs());
    let extra = json!({"database": extra});
    let component = container("hello.MyDatabaseComponent", HERE, extra);
    let node = Node::start(&config(&[router(), component]));
    let mut crowd = Crowd::join(node.address(), CALLERS);
    let args = nothing();
    let calls = Calls::of("com.example.now.v1", &args);

    let tally = crowd.call_while(calls, |progress| {
        progress.errors_for_all(3);
        postgres.start();
        let back = Instant::now();
        wait::until("the first result", || {
            (progress.results() > 0).then_some(())
        });
        let waited = back.elapsed();
        eprintln!("first result {waited:?} after the return");
        assert!(waited < FIRST_SUCCESS, "{waited:?}");
        progress.results_for_all(3);
    });
    for failed in &tally.errors {
        let error = &failed.error;
        assert_eq!(error.uri, "wamp.error.unavailable", "{error:?}");
        let refused = error.message.contains("refused");
        let starting = error.message.contains("starting up");
        assert!(refused || starting, "{error:?}");
        assert_eq!(error.details["retryable"], true, "{error:?}");
    }
    let slowest = tally.errors.iter().map(|failed| failed.after).max();
    let slowest = slowest.expect("calls have failed");
    eprintln!(
        "{} errors, the slowest after {slowest:?}",
        tally.errors.len()
    );
    assert!(slowest < 3 * CONNECT_TIMEOUT, "{slowest:?}");

    let tally = crowd.call_once(calls);
    assert_eq!(tally.results, CALLERS as u64, "{tally:?}");
    crowd.leave();
}
