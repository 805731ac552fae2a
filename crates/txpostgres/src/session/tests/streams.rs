//! Results that are read in batches, on a real server.

use sql::{ErrorKind, Rows, Settings, Statement};

use super::{
    super::{Event, Outcome, Work},
    client::{Client, query},
};

fn stream(statement: Statement, batch: i32) -> Work {
    let settings = Settings::new().set("app.user", "streamer");
    Work::Stream {
        settings,
        statement,
        batch,
    }
}

/// The next batch, or the end.
fn next(client: &mut Client) -> Result<Option<Rows>, sql::Error> {
    let is_it = |event: &Event<u64>| matches!(event, Event::Batch(_) | Event::Done(..));
    match client.until(is_it).unwrap() {
        Event::Batch(rows) => Ok(Some(rows)),
        Event::Done(_, outcome) => outcome.map(|outcome| {
            assert!(matches!(outcome, Outcome::Streamed));
            None
        }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn batches_come_as_they_are_asked_for() {
    let mut client = Client::new();
    for (rows, sizes) in [(7, vec![3, 3, 1]), (6, vec![3, 3]), (0, vec![])] {
        let sql =
            format!("SELECT n, current_setting('app.user') FROM generate_series(1, {rows}) n");
        client.send(stream(query(&sql), 3));
        assert!(client.session.is_exclusive());
        let mut got = Vec::new();
        while let Some(batch) = next(&mut client).unwrap() {
            assert_eq!(batch.row(0).unwrap().get::<&str>(1), Ok("streamer"));
            got.push(batch.len());
            client.session.next_batch(&mut client.out);
        }
        assert_eq!(got, sizes);
        assert!(!client.session.is_exclusive());
    }
    assert_eq!(client.value::<i32>("SELECT 1"), 1);
}

#[test]
fn nothing_is_read_that_nobody_asks_for() {
    let mut client = Client::new();
    let work = client.send(stream(query("SELECT generate_series(1, 1000000)"), 10));
    let behind = client.send(Work::Job(query("SELECT 1").into()));
    assert_eq!(next(&mut client).unwrap().unwrap().len(), 10);
    assert!(client.heard.len() < 5000 && !client.session.is_waiting());
    client.session.end_stream(&mut client.out);
    assert_eq!(client.end(work).unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(client.end(behind).is_ok());
}

#[test]
fn a_stream_may_be_ended_before_its_first_batch() {
    let mut client = Client::new();
    let work = client.send(stream(query("SELECT generate_series(1, 100)"), 10));
    client.session.end_stream(&mut client.out);
    assert_eq!(client.end(work).unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(
        !client
            .events
            .iter()
            .any(|event| matches!(event, Event::Batch(_)))
    );
    // The next one is not ended.
    client.send(stream(query("SELECT 1"), 10));
    assert_eq!(next(&mut client).unwrap().unwrap().len(), 1);
    assert!(next(&mut client).unwrap().is_none());
}

#[test]
fn an_error_in_the_middle_ends_it_and_undoes_what_it_did() {
    let mut client = Client::new();
    let sql = "SELECT 1 / (5 - n) FROM generate_series(1, 9) n";
    client.send(stream(query(sql), 2));
    for _ in 0..2 {
        assert_eq!(next(&mut client).unwrap().unwrap().len(), 2);
        client.session.next_batch(&mut client.out);
    }
    assert_eq!(next(&mut client).unwrap_err().sqlstate(), Some("22012"));
    let sql = "SELECT no_such_column";
    client.send(stream(query(sql), 2));
    assert_eq!(next(&mut client).unwrap_err().sqlstate(), Some("42703"));
    client.send(stream(query("SELECT 1"), 2));
    assert!(next(&mut client).unwrap().is_some() && next(&mut client).unwrap().is_none());
}

#[test]
fn a_statement_that_changed_meanwhile_is_prepared_anew() {
    let mut client = Client::new();
    client.all(&[
        "DROP TABLE IF EXISTS streamed",
        "CREATE TABLE streamed (a int)",
        "INSERT INTO streamed VALUES (1)",
    ]);
    for columns in 1..3 {
        client.send(stream(query("SELECT * FROM streamed"), 2));
        assert_eq!(next(&mut client).unwrap().unwrap().columns().len(), columns);
        assert!(next(&mut client).unwrap().is_none());
        client.all(&["ALTER TABLE streamed ADD COLUMN b int"][..2 - columns]);
    }
}
