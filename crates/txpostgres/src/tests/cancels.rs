//! Owns the tests of what a cancel request costs and whom it may hit, against the real server.

use std::collections::VecDeque;

use deferred::CancelHandle;
use sql::{Deferred, Error, ErrorKind, Rows, params};

use super::{Cluster, eventually, observer, outcome, pool, run, until_running, value};
use crate::ConnectionPool;

/// Numbers that are the same at each run: the xorshift of Marsaglia.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

const SLOW: &str = "SELECT $1::bigint FROM pg_sleep(0.02)";

fn quick(pool: &ConnectionPool, number: i64) -> Deferred<Rows> {
    pool.run_query("SELECT $1::bigint", params![number])
}

/// A job that may be cancelled at any moment.
fn slow(pool: &ConnectionPool, number: i64) -> Deferred<Rows> {
    pool.run_query(SLOW, params![number])
}

/// The same in a transaction of several statements.
fn slow_interaction(pool: &ConnectionPool, number: i64) -> Deferred<Rows> {
    pool.run_interaction(move |mut txn| async move {
        txn.query("SELECT 1", ()).await?;
        txn.query(SLOW, params![number]).await
    })
}

fn check(answer: Result<Rows, Error>, number: i64) {
    let rows = answer.unwrap_or_else(|error| panic!("job {number} was hit: {error}"));
    assert_eq!(rows.row(0).unwrap().get::<i64>(0), Ok(number));
}

type Submit = fn(&ConnectionPool, i64) -> Deferred<Rows>;

/// Thousands of quick jobs beside slow ones that are cancelled at any moment. Each job checks its own
/// result. How many were cancelled, and how many connections were opened in place of others.
fn storm(seed: u64, submit: &[Submit]) -> (u64, u64) {
    const CP_MAX: u32 = 4;
    let mut random = Random(seed);
    let mut cancelled = 0;
    let pool = pool(|b| b.cp_max(CP_MAX).cp_min(0));
    let mut under_way: VecDeque<(i64, CancelHandle, Deferred<Rows>)> = VecDeque::new();
    for number in 0..1500 {
        if random.below(5) == 0 {
            let submit = submit[random.below(submit.len() as u64) as usize];
            let job = submit(&pool, number);
            under_way.push_back((number, job.cancel_handle(), job));
        }
        // Several at once, so that they are sent behind each other.
        let quick = [number, number + 1, number + 2].map(|n| (n, quick(&pool, n)));
        for (number, job) in quick {
            check(outcome(job), number);
        }
        // Some are cancelled before they begin, some at their end, most while they run.
        if random.below(4) == 0
            && let Some((number, handle, job)) = under_way.pop_front()
        {
            handle.cancel();
            match outcome(job) {
                Err(error) if error.kind() == ErrorKind::Cancelled => cancelled += 1,
                ended => check(ended, number),
            }
        }
    }
    let opened = pool.stats().opened;
    pool.close();
    (cancelled, opened.saturating_sub(CP_MAX.into()))
}

#[test]
fn a_storm_of_cancels_costs_no_connections_and_hits_no_later_job() {
    let (mut cancelled, mut opened) = (0, 0);
    for seed in [1, 20_261_128, 0xfeed_5eed] {
        let ended = storm(seed, &[slow]);
        (cancelled, opened) = (cancelled + ended.0, opened + ended.1);
    }
    println!("{cancelled} jobs cancelled, {opened} connections opened in place of others");
    assert!(cancelled > 100, "{cancelled} were cancelled");
    assert_eq!(opened, 0, "for {cancelled} cancels");
}

#[test]
fn interactions_are_not_hit_by_the_cancels_of_others() {
    for seed in [7, 0xfeed_5eed] {
        let (cancelled, _) = storm(seed, &[slow, slow_interaction]);
        assert!(cancelled > 50, "{cancelled} were cancelled");
    }
}

#[test]
fn a_cancelled_statement_leaves_its_connection_to_the_next_job() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let pid = "SELECT pg_backend_pid()";
    let before: i32 = value(&pool, pid);
    for _ in 0..20 {
        let query = pool.run_query("SELECT pg_sleep(60)", ());
        let handle = query.cancel_handle();
        eventually("it runs", || pool.stats().running == 1);
        handle.cancel();
        assert_eq!(outcome(query).unwrap_err().kind(), ErrorKind::Cancelled);
    }
    assert_eq!(pool.stats().opened, 1);
    assert_eq!(value::<i32>(&pool, pid), before);
}

#[test]
fn cancelling_reaches_the_job_through_map_and_after_on_result() {
    let pool = pool(|b| b.cp_max(2).cp_min(0));
    let observer = observer(Cluster::shared());
    let mapped = pool
        .run_query("SELECT pg_sleep(60) /* mapped */", ())
        .map(|rows| rows.len());
    until_running(&observer, "/* mapped */", 1);
    mapped.cancel();
    assert_eq!(outcome(mapped).unwrap_err().kind(), ErrorKind::Cancelled);
    until_running(&observer, "/* mapped */", 0);
    let consumed = pool.run_query("SELECT pg_sleep(60) /* consumed */", ());
    let handle = consumed.cancel_handle();
    let (told, tells) = std::sync::mpsc::channel();
    consumed.on_result(move |result| told.send(result.map(drop)).unwrap());
    until_running(&observer, "/* consumed */", 1);
    handle.cancel();
    let kind = tells.recv().unwrap().unwrap_err().kind();
    assert_eq!(kind, ErrorKind::Cancelled);
    until_running(&observer, "/* consumed */", 0);
}

/// The Deferred fires only when the statement has stopped, for those who count what runs.
#[test]
fn a_job_that_is_cancelled_on_its_end_fires_when_its_connection_is_free() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let observer = observer(Cluster::shared());
    let job = pool.run_query("SELECT pg_sleep(60) /* on end */", ());
    let waiting = pool.run_query("SELECT 1 /* waits */", ());
    until_running(&observer, "/* on end */", 1);
    for handle in [job.cancel_handle(), waiting.cancel_handle()] {
        handle.cancel_on_end();
    }
    assert_eq!(outcome(waiting).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(outcome(job).unwrap_err().kind(), ErrorKind::Cancelled);
    eventually("both are counted", || pool.stats().errors.cancelled == 2);
}

/// A statement that somebody else stops is none of ours to repeat.
#[test]
fn a_statement_that_is_cancelled_by_others_is_an_error() {
    let pool = pool(|b| b.cp_max(1).cp_min(0));
    let observer = observer(Cluster::shared());
    let job = pool.run_query("SELECT pg_sleep(60) /* by others */", ());
    until_running(&observer, "/* by others */", 1);
    run(
        &observer,
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE strpos(query, '/* by others') > 0 \
         AND pid <> pg_backend_pid()",
    );
    assert_eq!(outcome(job).unwrap_err().sqlstate(), Some("57014"));
}
