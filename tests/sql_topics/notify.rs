//! Channels of NOTIFY as topics.

use serde_json::json;

use super::{event, start, subscriber};
use crate::support::{
    backends::{Backend, on_each_backend},
    postgres::Database,
    websocket::{ANY, Client, code},
};

on_each_backend![
    payloads_become_arguments,
    notifications_come_in_the_order_of_their_commits,
    a_lost_connection_is_told_to_the_topics,
];

fn payloads_become_arguments(backend: Backend) {
    let database = Database::create("topics_payloads", backend);
    let channels = json!({
        "stock": "com.shop.stock",
        "As Text": {"topic": "com.shop.text", "payload": "text"}
    });
    let node = start(&database, &json!({"channels": channels}));
    let mut client = subscriber(&node, "com.shop.stock");
    let mut sql = database.client();
    let deep = "[".repeat(600) + &"]".repeat(600);
    for (payload, args, kwargs) in [
        (
            "[1, \"two\", {\"three\": 3}]",
            json!([1, "two", {"three": 3}]),
            json!({}),
        ),
        (
            "{\"id\": 7, \"name\": \"tea\"}",
            json!([]),
            json!({"id": 7, "name": "tea"}),
        ),
        ("", json!([]), json!({})),
        ("17", json!([17]), json!({})),
        ("\"a text\"", json!(["a text"]), json!({})),
        (" null ", json!([null]), json!({})),
        ("tea & pot", json!(["tea & pot"]), json!({})),
        ("007", json!(["007"]), json!({})),
        ("{\"id\": 7", json!(["{\"id\": 7"]), json!({})),
        (&deep, json!([deep]), json!({})),
    ] {
        sql.execute("SELECT pg_notify('stock', $1)", &[&payload])
            .expect("it is notified");
        assert_eq!(event(&mut client), (args, kwargs), "{payload}");
    }
    let mut client = subscriber(&node, "com.shop.text");
    for text in ["[1]", "17", "tea"] {
        sql.execute("SELECT pg_notify('As Text', $1)", &[&text])
            .expect("it is notified");
        assert_eq!(event(&mut client), (json!([text]), json!({})));
    }
}

fn notifications_come_in_the_order_of_their_commits(backend: Backend) {
    let database = Database::create("topics_order", backend);
    let node = start(
        &database,
        &json!({"channels": {"one": "com.one", "two": "com.two"}}),
    );
    let mut client = Client::join(node.address());
    client.subscribe("com.one");
    client.subscribe("com.two");
    let (mut late, mut early) = (database.client(), database.client());
    late.batch_execute("BEGIN; NOTIFY one, '[\"late\"]'; NOTIFY two, '[\"late\"]'")
        .expect("a transaction");
    let rolled_back = "BEGIN; NOTIFY one, '[\"never\"]'; ROLLBACK; NOTIFY two, '[\"early\"]'";
    early.batch_execute(rolled_back).expect("a transaction");
    late.batch_execute("COMMIT").expect("a commit");
    for word in ["early", "late", "late"] {
        assert_eq!(event(&mut client).0, json!([word]));
    }
}

fn a_lost_connection_is_told_to_the_topics(backend: Backend) {
    let database = Database::create("topics_lost", backend);
    let node = start(&database, &json!({"channels": {"stock": "com.shop.stock"}}));
    let mut client = subscriber(&node, "com.shop.stock");
    let mut sql = database.client();
    for round in 1..=2 {
        let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                   WHERE query LIKE 'LISTEN%stock%' AND datname = current_database()";
        assert_eq!(sql.query(end, &[]).expect("an end").len(), 1);
        // Perhaps nobody hears it.
        sql.batch_execute("NOTIFY stock, '[\"unheard\"]'")
            .expect("a notification");
        let mut told = event(&mut client);
        if told.0 == json!(["unheard"]) {
            panic!("the listener was ended before");
        }
        assert_eq!(
            told,
            (json!([]), json!({"_missing": true})),
            "round {round}"
        );
        sql.batch_execute("NOTIFY stock, '[\"heard\"]'")
            .expect("a notification");
        told = event(&mut client);
        assert_eq!(told.0, json!(["heard"]));
    }
    let message = client.next_request();
    client.send(&json!([code::PUBLISH, message, {"acknowledge": true}, "com.other"]));
    client.expect(&json!([code::PUBLISHED, message, ANY]));
}
