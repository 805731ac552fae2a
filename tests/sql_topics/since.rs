//! The procedure that gives what came since an event.

use serde_json::{Value, json};

use super::{config_of, install, publish, start, subscriber, with_outbox};
use crate::support::{
    backends::{Backend, on_each_backend},
    node::Node,
    postgres::Database,
    websocket::{Client, code},
};

const SINCE: &str = "com.shop.events.since";

on_each_backend![
    what_came_since_an_event_is_given_in_pages,
    a_late_commit_is_not_passed_over,
    only_receivers_are_given_an_event,
    what_is_not_kept_is_an_error,
];

/// What came since, by an answer of the procedure: the numbers, and where to go on.
fn since(client: &mut Client, args: Value) -> (Vec<i64>, Value, bool) {
    let answer = client.result_of(SINCE, &args)[0].clone();
    let numbers = answer["events"].as_array().expect("events").iter();
    let numbers = numbers.map(|event| event["args"][0].as_i64().expect("a number"));
    let more = answer["more"] == true;
    (numbers.collect(), answer["next"].clone(), more)
}

fn what_came_since_an_event_is_given_in_pages(backend: Backend) {
    let (database, node) = with_outbox("since_pages", backend);
    let mut client = Client::join(node.address());
    let mut sql = database.client();
    let (none, start, _) = since(&mut client, json!([]));
    assert!(none.is_empty());
    let ids: Vec<_> = (1..=25).map(|n| publish(&mut sql, n)).collect();
    let in_one = "SELECT wampgres.publish('com.shop.stock', jsonb_build_array(n)) FROM generate_series(26, 40) AS n";
    let ids_in_one: Vec<i64> = sql
        .query(in_one, &[])
        .expect("events")
        .iter()
        .map(|row| row.get(0))
        .collect();
    // Since an event, also one in the middle of its transaction.
    let (numbers, _, more) = since(&mut client, json!([ids[19]]));
    assert_eq!((numbers, more), ((21..=40).collect(), false));
    let (numbers, next, _) = since(&mut client, json!([ids_in_one[4]]));
    assert_eq!(numbers, (31..=40).collect::<Vec<_>>());
    // From page to page, and on with what comes later.
    let (mut from, mut all) = (start, Vec::new());
    loop {
        let (numbers, next, more) = since(&mut client, json!([from, 7]));
        assert!(numbers.len() == 7 || !more);
        all.extend(numbers);
        from = next;
        if !more {
            break;
        }
    }
    assert_eq!(all, (1..=40).collect::<Vec<_>>());
    publish(&mut sql, 41);
    assert_eq!(since(&mut client, json!([from])).0, [41]);
    assert_eq!(since(&mut client, json!([next])).0, [41]);

    let answer = client.result_of(SINCE, &json!([ids[23], 1]))[0].clone();
    let event = &answer["events"][0];
    assert_eq!(
        (&event["id"], &event["topic"], &event["kwargs"]),
        (&json!(ids[24]), &json!("com.shop.stock"), &json!({}))
    );
    assert!(
        event["at"].as_str().is_some_and(|at| at.contains('T')),
        "{event}"
    );
    sql.batch_execute("SELECT wampgres.publish('com.other')")
        .expect("an event");
    let call = client.next_request();
    let kwargs = json!({"since": next, "topics": ["com.other"]});
    client.send(&json!([code::CALL, call, {}, SINCE, [], kwargs]));
    let came = client.expect_result(call);
    assert_eq!(came["events"].as_array().map(Vec::len), Some(1));
}

/// Neither by whoever has the id of a later event, nor from page to page.
fn a_late_commit_is_not_passed_over(backend: Backend) {
    let (database, node) = with_outbox("since_late", backend);
    let mut client = Client::join(node.address());
    let [mut late, mut sql] = [(); 2].map(|()| database.client());
    late.batch_execute("BEGIN").expect("a transaction");
    publish(&mut late, 1);
    let before = publish(&mut sql, 2);
    publish(&mut late, 3);
    let (_, position, _) = since(&mut client, json!([before]));
    publish(&mut sql, 4);
    assert_eq!(since(&mut client, json!([position])).0, [4]);
    let (page, next, more) = since(&mut client, json!([before, 1]));
    assert_eq!((page, more), (vec![4], false));
    late.batch_execute("COMMIT").expect("a commit");
    assert_eq!(since(&mut client, json!([next])).0, [1, 3]);
    assert_eq!(since(&mut client, json!([before])).0, [1, 3, 4]);
    assert_eq!(since(&mut client, json!([position])).0, [1, 3, 4]);
    let (page, next, more) = since(&mut client, json!([before, 2]));
    assert_eq!((page, more), (vec![1, 3], true));
    assert_eq!(since(&mut client, json!([next])).0, [4]);
}

fn only_receivers_are_given_an_event(backend: Backend) {
    let (database, node) = with_outbox("since_receivers", backend);
    let [mut one, mut other] = [(); 2].map(|()| subscriber(&node, "com.a"));
    let mut sql = database.client();
    let first = publish(&mut sql, 1);
    for (n, list) in [(2, "exclude"), (3, "eligible")] {
        let options = json!({list: [one.session()]}).to_string();
        let publish = "SELECT wampgres.publish('com.b', jsonb_build_array($1::int4), options => $2::text::jsonb)";
        sql.execute(publish, &[&n, &options]).expect("an event");
    }
    let nobodys = "SELECT wampgres.publish('com.b', '[4]', options => '{\"eligible_authrole\": [\"nobody\"]}')";
    sql.batch_execute(nobodys).expect("an event");
    assert_eq!(since(&mut one, json!([first])).0, [3]);
    assert_eq!(since(&mut other, json!([first])).0, [2]);
}

fn what_is_not_kept_is_an_error(backend: Backend) {
    let database = Database::create("since_gone", backend);
    install(&database);
    let node = start(&database, &json!({"outbox": {"since": "com.shop.since"}}));
    let mut client = Client::join(node.address());
    let mut sql = database.client();
    let mut refused = |args: Value, uri: &str| {
        let call = client.call("com.shop.since", &args);
        client.expect_error(code::CALL, call, uri)
    };
    let gone = "wampgres.error.events_missing";
    assert!(refused(json!([12345]), gone).starts_with("the event 12345 is not kept"));
    let wrong = "wamp.error.invalid_argument";
    for (args, why) in [
        (json!(["tea"]), "wanted the id of an event"),
        (json!([1.5]), "wanted the id of an event"),
        (
            json!([1, 0]),
            "argument `limit`: wanted an integer from 1 to 1000",
        ),
        (
            json!([1, 1001]),
            "argument `limit`: wanted an integer from 1 to 1000",
        ),
        (json!([1, "x"]), "argument `limit`"),
        (json!([1, 1, 1]), "there are too many arguments"),
    ] {
        let told = refused(args, wrong);
        assert!(told.contains(why), "{told}");
    }
    let position = "SELECT wampgres.event_position(wampgres.publish('com.a'))";
    let before: String = sql
        .query_one("SELECT pg_current_snapshot()::text", &[])
        .expect("a position")
        .get(0);
    sql.batch_execute(position).expect("an event");
    let delete =
        "UPDATE wampgres.outbox_deleted SET old_xmin = pg_snapshot_xmax(pg_current_snapshot()),
                      young_at = clock_timestamp();
                  SELECT wampgres.delete_events(0, '1 hour', 1000, 1000)";
    sql.batch_execute(delete).expect("a deletion");
    let told = refused(json!([before]), gone);
    assert!(told.contains("may have been deleted"), "{told}");
    let last = publish(&mut sql, 1);
    let call = client.call("com.shop.since", &json!([last]));
    assert_eq!(client.expect_result(call)["events"], json!([]));
    drop(node);
    // A configuration without an outbox has no such procedure.
    let node = Node::start(&config_of(&database, &json!({"channels": {"a": "com.a"}})));
    let mut client = Client::join(node.address());
    let call = client.call(SINCE, &json!([]));
    client.expect_error(code::CALL, call, "wamp.error.no_such_procedure");
}
