//! What the schema `wampgres` does, on a real PostgreSQL: many transactions at once, and what is read and
//! deleted of what they publish.

mod deleting;

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use adbapi::postgres::{Client, Config, NoTls};
use pg_cluster::TemporaryCluster;
use serde_json::Value;

use super::*;

const INSTALL: Installation = Installation::Install { watch_ddl: false };

fn server() -> &'static TemporaryCluster {
    static SERVER: OnceLock<TemporaryCluster> = OnceLock::new();
    SERVER.get_or_init(|| {
        let cluster = TemporaryCluster::create("app", None).unwrap();
        cluster.start().unwrap();
        cluster
    })
}

fn connect(database: &str) -> Client {
    connect_to(server(), database)
}

fn connect_to(server: &TemporaryCluster, database: &str) -> Client {
    let mut config = Config::new();
    config.host_path(server.socket_directory());
    config.port(server.port()).user("app").dbname(database);
    config.connect(NoTls).unwrap()
}

/// A new database with the schema.
fn installed(name: &str) -> Client {
    let create = format!("CREATE DATABASE {name}");
    connect("postgres").batch_execute(&create).unwrap();
    let mut client = connect(name);
    client.batch_execute(&INSTALL.script()).unwrap();
    client
}

/// Publishes a number.
fn publish(sql: &mut Client, number: i64) -> i64 {
    let publish = "SELECT wampgres.publish('com.a', jsonb_build_array($1::int8))";
    sql.query_one(publish, &[&number]).unwrap().get(0)
}

/// A reader of the outbox.
struct Reader {
    sql: Client,
    position: Option<String>,
    page: i32,
    state: Value,
}

impl Reader {
    /// From now on, so many events at a time.
    fn new(sql: Client, page: i32) -> Self {
        let mut this = Self {
            sql,
            position: None,
            page,
            state: Value::Null,
        };
        assert!(this.read().is_empty());
        this
    }

    /// The next numbers.
    fn read(&mut self) -> Vec<i64> {
        let read = "SELECT id, args::jsonb ->> 0, state FROM wampgres.read_outbox($1, $2, 1000000)";
        let rows = self.sql.query(read, &[&self.position, &self.page]).unwrap();
        let (last, events) = rows.split_last().unwrap();
        self.state = serde_json::from_str(last.get(2)).unwrap();
        self.position = self.state["position"].as_str().map(str::to_owned);
        let ids: Vec<i64> = events.iter().map(|row| row.get(0)).collect();
        assert!(ids.is_sorted());
        let number = |text: String| text.parse().unwrap();
        events.iter().map(|row| number(row.get(1))).collect()
    }

    /// All numbers that there are now.
    fn all(&mut self) -> Vec<i64> {
        let mut all = self.read();
        while self.state["more"] == true {
            all.extend(self.read());
        }
        all
    }
}

/// By readers of large and of small pages alike, and by pages that begin at any event.
#[test]
fn every_event_of_many_transactions_is_read_once() {
    const WRITERS: i64 = 6;
    const TRANSACTIONS: i64 = 120;
    let mut readers: Vec<_> = {
        drop(installed("once"));
        [1000, 3].map(|page| Reader::new(connect("once"), page))
    }
    .into();
    let (left, committed) = (AtomicI64::new(WRITERS), AtomicI64::new(0));
    let came: Vec<Vec<i64>> = thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (left, committed) = (&left, &committed);
            scope.spawn(move || {
                let mut sql = connect("once");
                for transaction in 0..TRANSACTIONS {
                    committed.fetch_add(write(&mut sql, writer, transaction), Ordering::Relaxed);
                }
                left.fetch_sub(1, Ordering::Release);
            });
        }
        let read = |reader: &mut Reader| {
            let mut came = Vec::new();
            loop {
                let is_last = left.load(Ordering::Acquire) == 0;
                came.extend(reader.all());
                if is_last {
                    return came;
                }
            }
        };
        let threads: Vec<_> = (readers.iter_mut())
            .map(|reader| scope.spawn(move || read(reader)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for came in came {
        assert_eq!(came.len() as i64, committed.load(Ordering::Relaxed));
        let mut of_writers = BTreeMap::<_, Vec<_>>::new();
        for number in came {
            of_writers.entry(number / 100_000).or_default().push(number);
        }
        for own in of_writers.into_values() {
            assert!(own.is_sorted_by(|a, b| a < b), "in order and none twice");
        }
    }
    from_any_event(&mut connect("once"), committed.into_inner());
}

/// One transaction of a writer, which takes its time, and may be rolled back in part or as a whole. How
/// many events of it stay.
fn write(sql: &mut Client, writer: i64, transaction: i64) -> i64 {
    let isolation = ["READ COMMITTED", "REPEATABLE READ"][(transaction % 2) as usize];
    let begin = format!("BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM wampgres.outbox");
    sql.batch_execute(&begin).unwrap();
    let first = writer * 100_000 + transaction * 10;
    let mut events = 0;
    for event in 0..(writer + transaction) % 4 {
        publish(sql, first + event);
        events += 1;
        if (transaction + event) % 5 == 0 {
            sql.batch_execute("SAVEPOINT s").unwrap();
            publish(sql, first + 9);
            sql.batch_execute("ROLLBACK TO s").unwrap();
        }
        if (writer + event) % 3 == 0 {
            sql.batch_execute("SELECT count(*) FROM generate_series(1, 20000)")
                .unwrap();
        }
    }
    if transaction % 7 == 3 {
        sql.batch_execute("ROLLBACK").unwrap();
        return 0;
    }
    sql.batch_execute("COMMIT").unwrap();
    events
}

/// From each event on, in pages, whatever it had not seen when it was published comes, and all after it.
fn from_any_event(sql: &mut Client, events: i64) {
    let all = "SELECT id, xid::text, wampgres.event_position(id) FROM wampgres.outbox ORDER BY id";
    let all = sql.query(all, &[]).unwrap();
    assert_eq!(all.len() as i64, events);
    for row in all.iter().step_by(all.len() / 40) {
        let (id, xid): (i64, String) = (row.get(0), row.get(1));
        let wanted = "SELECT o.id FROM wampgres.outbox o, wampgres.outbox e
                      WHERE e.id = $1 AND o.id <> e.id
                        AND CASE WHEN o.xid = e.xid THEN o.id > e.id
                            ELSE NOT pg_visible_in_snapshot(o.xid, e.seen) END
                      ORDER BY o.id";
        let wanted: Vec<i64> = sql
            .query(wanted, &[&id])
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        let (mut position, mut came) = (row.get::<_, String>(2), Vec::<i64>::new());
        loop {
            let read = "SELECT id, state FROM wampgres.read_outbox($1, 13, 1000000)";
            let page = sql.query(read, &[&position]).unwrap();
            came.extend(page.iter().filter_map(|row| row.get::<_, Option<i64>>(0)));
            let state: Value = serde_json::from_str(page.last().unwrap().get(1)).unwrap();
            position = state["position"].as_str().unwrap().to_owned();
            if state["more"] != true {
                break;
            }
        }
        assert_eq!(came, wanted, "since event {id} of transaction {xid}");
    }
}

#[test]
fn pages_are_bounded_in_rows_and_in_bytes() {
    let mut sql = installed("pages");
    let mut reader = Reader::new(connect("pages"), 4);
    for number in 1..=10 {
        publish(&mut sql, number);
    }
    assert_eq!(reader.read(), [1, 2, 3, 4]);
    // What comes meanwhile waits for its turn.
    publish(&mut sql, 11);
    assert_eq!(reader.read(), [5, 6, 7, 8]);
    assert_eq!(reader.read(), [9, 10]);
    assert_eq!(reader.state["more"], false);
    assert_eq!(reader.read(), [11]);
    assert!(reader.read().is_empty());

    let large = "SELECT wampgres.publish('com.a', jsonb_build_array(n, repeat('x', 400000)))
                 FROM generate_series(12, 19) AS n";
    sql.query(large, &[]).unwrap();
    reader.page = 1000;
    // A million bytes, and the last one whole.
    assert_eq!(reader.read(), [12, 13, 14]);
    assert_eq!(reader.all(), [15, 16, 17, 18, 19]);
}

/// Such as those of a dump of another server.
#[test]
fn rows_of_transactions_that_never_were_are_not_read() {
    let mut sql = installed("restored");
    let mut reader = Reader::new(connect("restored"), 10);
    let restored = "INSERT INTO wampgres.outbox (xid, seen, at, topic, args, bytes)
                    VALUES ('1000000000000', '5:5:', now(), 'com.a', '[1]', 8)";
    sql.batch_execute(restored).unwrap();
    publish(&mut sql, 2);
    assert_eq!(reader.all(), [2]);
}

#[test]
fn topics_and_arguments_are_checked() {
    let mut sql = installed("checked");
    let mut refused = |call: &str| {
        let error = sql.batch_execute(&format!("SELECT wampgres.publish({call})"));
        let error = error.expect_err(call);
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "22023", "{error:?}");
        error.message().to_owned()
    };
    for topic in [
        "NULL",
        "''",
        "'a b'",
        "'a..b'",
        "'.a'",
        "'a.'",
        "'a#'",
        "'wamp'",
        "'wamp.session'",
        "repeat('a', 5000)",
    ] {
        assert!(
            refused(topic).ends_with("is no topic to publish to"),
            "{topic}"
        );
    }
    for (call, why) in [
        (
            "'a', '{}'",
            "the args of a publication are an array, not a JSON object",
        ),
        (
            "'a', 'null'",
            "the args of a publication are an array, not a JSON null",
        ),
        (
            "'a', NULL, '[]'",
            "the kwargs of a publication are an object, not a JSON array",
        ),
        (
            "'a', NULL, '{\"_event\": 1}'",
            "the kwargs _event and _missing are wampgres' own",
        ),
        (
            "'a', options => '[]'",
            "the options of a publication are an object, not a JSON array",
        ),
        (
            "'a', options => '{\"exclude_me\": 1}'",
            "the option \"exclude_me\" of a publication is true or false, not 1",
        ),
    ] {
        assert_eq!(refused(call), why);
    }
    let fine = "SELECT wampgres.publish('wampgres.bücher.1', '[]', '{}', '{}')";
    sql.batch_execute(fine).unwrap();
}

/// Nobody is woken while somebody looks by itself, and again when that is over.
#[test]
fn publishers_wake_nobody_while_somebody_is_awake() {
    let mut sql = installed("awake");
    let mut heard = connect("awake");
    heard.batch_execute("LISTEN wampgres_outbox").unwrap();
    let mut count = || {
        let mut notifications = heard.notifications();
        let mut coming = notifications.timeout_iter(Duration::from_millis(200));
        let mut count = 0;
        while adbapi::postgres::fallible_iterator::FallibleIterator::next(&mut coming)
            .unwrap()
            .is_some()
        {
            count += 1;
        }
        count
    };
    publish(&mut sql, 1);
    sql.batch_execute("BEGIN; SELECT wampgres.publish('a'); SELECT wampgres.publish('b'); COMMIT")
        .unwrap();
    assert_eq!(count(), 2, "once a transaction");
    let awake = "SELECT wampgres.stay_awake(100000)";
    sql.batch_execute(awake).unwrap();
    sql.batch_execute(awake).unwrap();
    assert_eq!(count(), 1, "others are told that they are to look too");
    publish(&mut sql, 2);
    assert_eq!(count(), 0);
    let mut reader = Reader::new(connect("awake"), 10);
    assert!(reader.state["awake_ms"].as_f64().unwrap() > 50000.0);
    sql.batch_execute("SELECT setval('wampgres.outbox_awake', 1)")
        .unwrap();
    publish(&mut sql, 3);
    assert_eq!(count(), 1);
    assert_eq!(reader.read(), [3]);
    assert_eq!(reader.state["awake_ms"], 0);
}
