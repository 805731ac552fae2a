//! How notifications come, and what is told when they may be missing. Must not know a backend.

use std::{
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use super::{LIMIT, Open, eventually, rows, value};
use crate::{Database, ErrorKind, ListenEvent, Listener};

/// How many connections listen to a channel of such a name.
fn listening(db: &dyn Database, channel: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %{channel}%' \
         AND pid <> pg_backend_pid()"
    );
    value(db, &sql)
}

fn listen(db: &dyn Database, channel: &str) -> (Listener, Receiver<ListenEvent>) {
    let (sender, events) = mpsc::channel();
    let on_event = move |event: &ListenEvent| {
        // The test may be over.
        let _ = sender.send(event.clone());
    };
    let listener = db
        .listen(channel, Box::new(on_event))
        .expect("it can be listened to");
    (listener, events)
}

fn next(events: &Receiver<ListenEvent>) -> ListenEvent {
    events.recv_timeout(LIMIT).expect("an event comes")
}

fn assert_listening(events: &Receiver<ListenEvent>, gap: bool) {
    match next(events) {
        ListenEvent::Listening { after_gap } => assert_eq!(after_gap, gap),
        other => panic!("{other:?}"),
    }
}

fn payload(events: &Receiver<ListenEvent>) -> String {
    match next(events) {
        ListenEvent::Notified(notification) => notification.payload.into(),
        other => panic!("{other:?}"),
    }
}

/// With its payload, in the order of the commits, until nobody listens.
pub fn listeners_hear_their_channel_only(open: Open) {
    let db = open(1);
    let (listener, events) = listen(&*db, "suite \"Heard\"");
    assert_listening(&events, false);
    for sql in [
        "SELECT pg_notify('suite \"heard\"', 'another')",
        "SELECT pg_notify('suite \"Heard\"', 'é')",
        "NOTIFY \"suite \"\"Heard\"\"\"",
    ] {
        rows(&*db, sql);
    }
    assert_eq!(payload(&events), "é");
    assert_eq!(payload(&events), "");
    drop(listener);
    assert!(matches!(
        events.recv_timeout(LIMIT),
        Err(mpsc::RecvTimeoutError::Disconnected)
    ));
    eventually("it is not listened to", || listening(&*db, "Heard") == 0);
}

/// Those who come later join it.
pub fn all_listen_on_one_connection(open: Open) {
    let db = open(1);
    let (_one, first) = listen(&*db, "suite_shared_1");
    assert_listening(&first, false);
    let pid = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN %suite_shared%' \
               AND pid <> pg_backend_pid()";
    let held: i32 = value(&*db, pid);
    let (_two, second) = listen(&*db, "suite_shared_2");
    let (_three, third) = listen(&*db, "suite_shared_1");
    assert_listening(&second, false);
    assert_listening(&third, false);
    assert_eq!(listening(&*db, "suite_shared"), 1);
    assert_eq!(held, value::<i32>(&*db, pid));
    rows(
        &*db,
        "SELECT pg_notify('suite_shared_1', '1'), pg_notify('suite_shared_2', '2')",
    );
    assert_eq!(
        [payload(&first), payload(&second), payload(&third)],
        ["1", "2", "1"]
    );
}

/// Then notifications may be missing, and come again.
pub fn a_lost_listening_connection_is_told_and_replaced(open: Open) {
    let db = open(2);
    let (_listener, events) = listen(&*db, "suite_lost");
    assert_listening(&events, false);
    for round in 1..=3 {
        rows(
            &*db,
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
             WHERE query LIKE 'LISTEN %suite_lost%' AND pid <> pg_backend_pid()",
        );
        match next(&events) {
            ListenEvent::Lost(error) => assert_ne!(error.kind(), ErrorKind::Closed),
            other => panic!("{other:?}"),
        }
        assert_listening(&events, true);
        rows(&*db, &format!("SELECT pg_notify('suite_lost', '{round}')"));
        assert_eq!(payload(&events), round.to_string());
    }
    let (_late, late) = listen(&*db, "suite_lost");
    assert_listening(&late, false);
}

/// PostgreSQL would cut a name that is too long.
pub fn channels_that_cannot_be_are_refused(open: Open) {
    let db = open(1);
    for wrong in ["", "a\0b", &"x".repeat(64)] {
        let refused = db.listen(wrong, Box::new(|_| {}));
        let kind = refused.map(drop).map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::Config));
    }
}

/// And nothing of it is left.
pub fn the_close_is_the_last_that_a_listener_hears(open: Open) {
    let (db, other) = (open(1), open(1));
    let (_listener, events) = listen(&*db, "suite_closed");
    assert_listening(&events, false);
    db.close(Duration::from_secs(1));
    match next(&events) {
        ListenEvent::Lost(error) => assert_eq!(error.kind(), ErrorKind::Closed),
        event => panic!("{event:?}"),
    }
    eventually("its connection ends", || {
        listening(&*other, "suite_closed") == 0
    });
}
