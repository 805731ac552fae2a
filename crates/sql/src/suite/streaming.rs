//! How results come in batches. Must not know a backend.

use std::{env, fs, num::NonZeroU32, process::Command, thread};

use super::{Open, eventually, failure, outcome, param, rows, running_with, value};
use crate::{Database, ErrorKind, RowStream, Settings, Statement};

fn stream(db: &dyn Database, sql: &'static str, batch: u32) -> RowStream {
    let batch = NonZeroU32::new(batch).expect("a batch has rows");
    db.stream(Settings::new(), Statement::new(sql, ()), batch)
}

/// The lengths of all batches that are left.
fn lengths(stream: &mut RowStream) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let Some(batch) = outcome(stream.next_batch()).expect("no error") {
        lengths.push(batch.len());
    }
    lengths
}

/// Also when there are none, and of a statement that gives none.
pub fn all_rows_come_in_batches_and_in_their_order(open: Open) {
    let db = open(1);
    let batch = NonZeroU32::new(100).expect("it is not 0");
    let sql = "SELECT n FROM generate_series(1, $1::int) AS n";
    let statement = Statement::new(sql, vec![param(250_i32)]);
    let mut all = db.stream(Settings::new(), statement, batch);
    let mut next = 1_i32;
    while let Some(batch) = outcome(all.next_batch()).expect("no error") {
        assert_eq!(
            batch
                .columns()
                .map(|column| column.name.len())
                .sum::<usize>(),
            1
        );
        for row in batch.iter() {
            assert_eq!(row.get::<i32>(0), Ok(next));
            next += 1;
        }
    }
    assert_eq!(next, 251);
    let exact = "SELECT * FROM generate_series(1, 200)";
    assert_eq!(lengths(&mut stream(&*db, exact, 100)), [100, 100]);
    assert_eq!(
        lengths(&mut stream(&*db, "SELECT 1 WHERE false", 100)),
        [0_usize; 0]
    );
    let none = "CREATE TEMPORARY TABLE suite_none ()";
    assert_eq!(lengths(&mut stream(&*db, none, 100)), [0_usize; 0]);
    assert_eq!(value::<i32>(&*db, "SELECT 1"), 1);
}

/// A sequence tells how many rows it has made.
pub fn a_slow_consumer_keeps_postgresql_waiting(open: Open) {
    let (db, other) = (open(1), open(1));
    rows(&*db, "DROP SEQUENCE IF EXISTS suite_slow");
    rows(&*db, "CREATE SEQUENCE suite_slow");
    let sql = "SELECT nextval('suite_slow') FROM generate_series(1, 10000)";
    let mut slow = stream(&*db, sql, 10);
    let made = || value::<i64>(&*other, "SELECT last_value FROM suite_slow");
    for taken in 1..=5 {
        let batch = outcome(slow.next_batch())
            .expect("no error")
            .expect("a batch");
        assert_eq!(batch.len(), 10);
        // One batch lies ahead and one is in the hand of the backend.
        eventually("it reads ahead", || made() >= (taken + 1) * 10);
        assert!(made() <= (taken + 2) * 10, "{}", made());
    }
    let waits = "SELECT count(*) FROM pg_stat_activity \
                 WHERE state = 'idle in transaction' AND query LIKE '%nextval(''suite_slow''%'";
    eventually("it waits", || value::<i64>(&*other, waits) == 1);
    assert!(made() <= 70, "{}", made());
    assert_eq!(lengths(&mut slow).iter().sum::<usize>(), 10000 - 50);
}

/// In a process of its own, because the tests beside this one take memory too.
pub fn the_memory_of_a_stream_is_constant(open: Open) {
    const MEBIBYTE: usize = 1 << 20;
    const ALONE: &str = "SUITE_MEMORY_ALONE";
    if env::var_os(ALONE).is_none() {
        let program = env::current_exe().expect("a test has a program");
        let this = thread::current().name().map(str::to_owned);
        let mut alone = Command::new(program);
        alone.args(["--exact", &this.expect("a test's thread has its name")]);
        let output = alone.env(ALONE, "1").output().expect("it can be run");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let db = open(1);
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 200000)";
    let mut large = stream(&*db, sql, 500);
    let before = resident();
    let (mut most, mut read) = (0, 0);
    while let Some(batch) = outcome(large.next_batch()).expect("no error") {
        read += batch
            .iter()
            .filter_map(|row| row.value(0))
            .map(<[u8]>::len)
            .sum::<usize>();
        most = most.max(resident().saturating_sub(before));
    }
    assert_eq!(read, 200_000_000);
    assert!(most < 32 * MEBIBYTE, "{} MiB", most / MEBIBYTE);
}

/// The bytes of memory that this process has.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse::<usize>().ok())
        .expect("a number of KiB")
        * 1024
}

/// It is committed when all has been read, and the settings are gone.
pub fn a_stream_is_one_transaction_with_its_settings(open: Open) {
    let db = open(1);
    rows(&*db, "DROP TABLE IF EXISTS suite_streamed");
    rows(&*db, "CREATE TABLE suite_streamed (who text, zone text)");
    let sql = "INSERT INTO suite_streamed SELECT current_setting('app.user'), \
               current_setting('TimeZone') FROM generate_series(1, 5) RETURNING who, zone";
    let settings = || {
        Settings::new()
            .set("app.user", "alice")
            .time_zone("Asia/Tokyo")
    };
    let batch = NonZeroU32::new(2).expect("it is not 0");
    let mut all = db.stream(settings(), Statement::new(sql, ()), batch);
    assert_eq!(lengths(&mut all), [2, 2, 1]);
    let seen = "SELECT count(*) FROM suite_streamed WHERE who = 'alice' AND zone = 'Asia/Tokyo'";
    assert_eq!(value::<i64>(&*db, seen), 5);
    let user = "SELECT coalesce(current_setting('app.user', true), '')";
    assert_eq!(value::<String>(&*db, user), "");
    let read_only = settings().read_only(true);
    let mut refused = db.stream(read_only, Statement::new(sql, ()), batch);
    assert_eq!(failure(refused.next_batch()).sqlstate(), Some("25006"));
    let nobody = Settings::new().role("suite_nobody");
    let mut refused = db.stream(nobody, Statement::new("SELECT 1", ()), batch);
    assert_eq!(failure(refused.next_batch()).sqlstate(), Some("22023"));
    assert_eq!(value::<i64>(&*db, seen), 5);
}

/// After the rows before it.
pub fn an_error_in_the_middle_ends_the_stream(open: Open) {
    let db = open(1);
    let sql = "SELECT 1 / (25 - n) FROM generate_series(1, 100) AS n";
    let mut failing = stream(&*db, sql, 10);
    for _ in 0..2 {
        let batch = outcome(failing.next_batch()).expect("no error yet");
        assert_eq!(batch.map(|rows| rows.len()), Some(10));
    }
    assert_eq!(failure(failing.next_batch()).sqlstate(), Some("22012"));
    assert!(
        outcome(failing.next_batch())
            .expect("it has ended")
            .is_none()
    );
    let mut wrong = stream(&*db, "SELECT nothing", 10);
    assert_eq!(failure(wrong.next_batch()).sqlstate(), Some("42703"));
    let mut control = stream(&*db, "ROLLBACK", 10);
    assert_eq!(failure(control.next_batch()).kind(), ErrorKind::Config);
}

/// While it runs, and while it waits for its consumer.
pub fn a_stream_can_be_cancelled(open: Open) {
    let (db, other) = (open(1), open(1));
    let mut long = stream(&*db, "SELECT pg_sleep(60) /* suite stream */", 1);
    let asked = long.next_batch();
    eventually("it runs", || running_with(&*other, "suite stream") == 1);
    long.cancel_handle().cancel();
    assert_eq!(failure(asked).kind(), ErrorKind::Cancelled);
    eventually("it stops", || running_with(&*other, "suite stream") == 0);

    let many = "SELECT * FROM generate_series(1, 100000) /* suite waits */";
    let mut waiting = stream(&*db, many, 10);
    outcome(waiting.next_batch())
        .expect("no error")
        .expect("a batch");
    waiting.cancel_handle().cancel();
    let mut last = Ok(None);
    for _ in 0..3 {
        last = outcome(waiting.next_batch());
        if last.is_err() {
            break;
        }
    }
    let kind = last.map(drop).map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::Cancelled));
    assert_eq!(value::<i32>(&*db, "SELECT 1"), 1);
}

/// Nobody's SQL runs for nobody.
pub fn a_stream_that_is_dropped_ends_in_postgresql(open: Open) {
    let (db, other) = (open(1), open(1));
    let many = "SELECT * FROM generate_series(1, 100000) /* suite dropped */";
    let mut unread = stream(&*db, many, 10);
    outcome(unread.next_batch())
        .expect("no error")
        .expect("a batch");
    let waits = "SELECT count(*) FROM pg_stat_activity \
                 WHERE state = 'idle in transaction' AND query LIKE '%/* suite dropped */'";
    eventually("it waits", || value::<i64>(&*other, waits) == 1);
    drop(unread);
    eventually("its transaction ends", || value::<i64>(&*other, waits) == 0);
    assert_eq!(value::<i32>(&*db, "SELECT 1"), 1);

    let running = stream(&*db, "SELECT pg_sleep(60) /* suite left */", 1);
    eventually("it runs", || running_with(&*other, "suite left") == 1);
    drop(running);
    eventually("it stops", || running_with(&*other, "suite left") == 0);
    assert_eq!(value::<i32>(&*db, "SELECT 1"), 1);
}
