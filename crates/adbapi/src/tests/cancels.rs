//! Owns the tests of what a cancel request costs and whom it may hit: storms of them, against the
//! real server.

use std::collections::VecDeque;

use super::{outcome, pool};
use crate::{CancelHandle, ConnectionPool, Deferred, Error, Row, params};

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

fn quick(pool: &ConnectionPool, number: i64) -> Deferred<Vec<Row>> {
    pool.run_query("SELECT $1::bigint", params![number])
}

const SLOW: &str = "SELECT $1::bigint FROM pg_sleep(0.02)";

/// A job that may be cancelled at any moment.
fn slow(pool: &ConnectionPool, number: i64) -> Deferred<Vec<Row>> {
    pool.run_query(SLOW, params![number])
}

/// The same in a transaction of several statements.
fn slow_interaction(pool: &ConnectionPool, number: i64) -> Deferred<Vec<Row>> {
    pool.run_interaction(move |txn| {
        txn.query("SELECT 1", ())?;
        txn.query(SLOW, params![number])
    })
}

fn check(answer: Result<Vec<Row>, Error>, number: i64) {
    let rows = answer.unwrap_or_else(|error| panic!("job {number} was hit: {error}"));
    assert_eq!(rows[0].get::<_, i64>(0), number);
}

type Submit = fn(&ConnectionPool, i64) -> Deferred<Vec<Row>>;

/// Thousands of quick jobs beside slow ones that are cancelled at any moment. Each job checks its own
/// result. How many were cancelled, and how many connections were opened in place of others.
fn storm(seed: u64, submit: &[Submit]) -> (u64, u64) {
    const CP_MAX: u32 = 4;
    let mut random = Random(seed);
    let mut cancelled = 0;
    let pool = pool(|b| b.cp_max(CP_MAX).cp_min(0));
    let mut under_way: VecDeque<(i64, CancelHandle, Deferred<Vec<Row>>)> = VecDeque::new();
    for number in 0..1500 {
        if random.below(5) == 0 {
            let submit = submit[random.below(submit.len() as u64) as usize];
            let job = submit(&pool, number);
            under_way.push_back((number, job.cancel_handle(), job));
        }
        check(outcome(quick(&pool, number)), number);
        // Some are cancelled before they begin, some at their end, most while they run.
        if random.below(4) == 0
            && let Some((number, handle, job)) = under_way.pop_front()
        {
            handle.cancel();
            match outcome(job) {
                Err(Error::Cancelled) => cancelled += 1,
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
    assert!(opened * 20 < cancelled, "{opened} for {cancelled} cancels");
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
    let before: i32 = super::value(&pool, pid);
    for _ in 0..20 {
        let query = pool.run_query("SELECT pg_sleep(60)", ());
        let handle = query.cancel_handle();
        super::eventually("it runs", || pool.stats().running == 1);
        handle.cancel();
        assert!(matches!(outcome(query), Err(Error::Cancelled)));
    }
    assert_eq!(pool.stats().opened, 1);
    assert_eq!(super::value::<i32>(&pool, pid), before);
}
