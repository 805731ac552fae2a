//! What is deleted of the outbox, and when.

use super::*;

/// A server of one's own with the schema: transactions of others, which may be under way, count in all
/// databases of a server.
fn server() -> (TemporaryCluster, Client) {
    let server = TemporaryCluster::create("app", None).unwrap();
    server.start().unwrap();
    let mut client = connect_to(&server, "postgres");
    client.batch_execute(&INSTALL.script()).unwrap();
    (server, client)
}

/// How many rows are looked at, and deleted, of how many bytes.
fn delete(sql: &mut Client, max_age: &str, excess: i64, batch: i32) -> (Option<i64>, i64, i64) {
    let delete = "SELECT last, deleted, bytes
                  FROM wampgres.delete_events(0, $1::text::interval, $2, $3)";
    let row = sql.query_one(delete, &[&max_age, &excess, &batch]).unwrap();
    (row.get(0), row.get(1), row.get(2))
}

fn kept(sql: &mut Client) -> Vec<i64> {
    let kept = "SELECT (args::jsonb ->> 0)::int8 FROM wampgres.outbox ORDER BY id";
    sql.query(kept, &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// Lets the marks of the deletion become older.
fn later(sql: &mut Client, time: &str) {
    let later = format!(
        "UPDATE wampgres.outbox_deleted SET old_at = old_at - interval '{time}', young_at = young_at - interval '{time}';
         UPDATE wampgres.outbox SET at = at - interval '{time}'"
    );
    sql.batch_execute(&later).unwrap();
}

#[test]
fn old_events_go_in_batches_once_their_transactions_are_long_over() {
    let (server, mut sql) = server();
    let mut late = connect_to(&server, "postgres");
    late.batch_execute("BEGIN").unwrap();
    publish(&mut late, 0);
    for number in 1..=5 {
        publish(&mut sql, number);
    }
    assert_eq!(delete(&mut sql, "1 hour", 0, 2).1, 0);
    later(&mut sql, "2 hours");
    publish(&mut sql, 6);
    // Those who might not have read them yet have time until the next mark.
    assert_eq!(delete(&mut sql, "1 hour", 0, 10).1, 0, "a mark");
    late.batch_execute("COMMIT").unwrap();
    later(&mut sql, "2 minutes");
    assert_eq!(
        delete(&mut sql, "1 hour", 0, 10).1,
        0,
        "the mark was made while one was under way"
    );
    later(&mut sql, "2 minutes");
    // The late one was not published so long ago.
    assert_eq!(delete(&mut sql, "1 hour", 0, 3), (Some(3), 2, 16));
    assert_eq!(kept(&mut sql), [0, 3, 4, 5, 6]);
    let (last, deleted, _) = delete(&mut sql, "1 hour", 0, 10);
    assert_eq!((last, deleted), (None, 3));
    assert_eq!(kept(&mut sql), [0, 6]);
}

#[test]
fn what_was_published_long_before_it_was_committed_stays_for_a_minute() {
    let (server, mut sql) = server();
    let mut late = connect_to(&server, "postgres");
    late.batch_execute("BEGIN").unwrap();
    publish(&mut late, 1);
    late.batch_execute("UPDATE wampgres.outbox SET at = at - interval '3 hours'; COMMIT")
        .unwrap();
    for (time, deleted) in [("50 seconds", 0), ("11 seconds", 0), ("1 second", 1)] {
        assert_eq!(delete(&mut sql, "1 hour", 0, 10).1, deleted);
        later(&mut sql, time);
    }
}

#[test]
fn the_oldest_go_for_the_others_size() {
    let (_server, mut sql) = server();
    let many = "SELECT wampgres.publish('com.a', jsonb_build_array(n, repeat('x', 985))) FROM generate_series(1, 50) n";
    sql.query(many, &[]).unwrap();
    let bytes = |sql: &mut Client| -> i64 {
        sql.query_one("SELECT wampgres.outbox_bytes()", &[])
            .unwrap()
            .get(0)
    };
    let all = bytes(&mut sql);
    assert!((49_500..50_500).contains(&all), "{all}");
    for _ in 0..2 {
        delete(&mut sql, "1 hour", 0, 10);
        later(&mut sql, "2 minutes");
    }
    let (last, deleted, gone) = delete(&mut sql, "1 hour", all - 42_000, 100);
    assert_eq!((last, deleted), (None, 8));
    assert_eq!(kept(&mut sql).first(), Some(&9));
    assert_eq!(bytes(&mut sql), all - gone);
    assert!(bytes(&mut sql) <= 42_100);
}

#[test]
fn one_deletes_at_a_time_and_readers_learn_what_they_missed() {
    let (server, mut sql) = server();
    let mut reader = Reader::new(connect_to(&server, "postgres"), 10);
    let mut current = Reader::new(connect_to(&server, "postgres"), 10);
    publish(&mut sql, 1);
    assert_eq!(current.read(), [1]);
    delete(&mut sql, "1 hour", 0, 10);
    later(&mut sql, "2 hours");
    let mut other = connect_to(&server, "postgres");
    other
        .batch_execute("BEGIN; SELECT * FROM wampgres.outbox_deleted FOR UPDATE")
        .unwrap();
    assert_eq!(delete(&mut sql, "1 hour", 0, 10), (None, 0, 0));
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(delete(&mut sql, "1 hour", 0, 10).1, 1);
    publish(&mut sql, 2);
    assert_eq!(current.read(), [2]);
    assert_eq!(current.state["missing"], false);
    assert_eq!(reader.read(), [2]);
    assert_eq!(reader.state["missing"], true);
    assert!(reader.read().is_empty());
    assert_eq!(reader.state["missing"], false, "it is said once");
}

/// A dump of another server may have brought it, and one day its number would be this server's.
#[test]
fn what_another_server_has_published_goes_at_once() {
    let (server, mut sql) = server();
    let mut reader = Reader::new(connect_to(&server, "postgres"), 10);
    let restored = "INSERT INTO wampgres.outbox (xid, seen, at, topic, args, bytes)
                    VALUES ('1000000000000', '5:5:', now(), 'com.a', '[1]', 8)";
    sql.batch_execute(restored).unwrap();
    publish(&mut sql, 2);
    assert_eq!(delete(&mut sql, "1 hour", 0, 10).1, 1);
    assert_eq!(kept(&mut sql), [2]);
    assert_eq!(reader.read(), [2]);
    assert_eq!(reader.state["missing"], false);
}
