//! What becomes of published events when connections, servers and nodes fail.

use std::{fs, io::ErrorKind, path::Path, sync::mpsc};

use postgres::error::SqlState;
use serde_json::{Value, json};

use super::{
    LIVE, STOCK, config_of, event, firsts, install, publish, start, subscriber, with_outbox,
};
use crate::support::{
    backends::{Backend, on_each_backend},
    fake_router::{self, say},
    node::Node,
    postgres::{Database, PASSWORD, Postgres},
    wait::PATIENCE,
    websocket::{ANY, Client, code},
};

on_each_backend![
    subscribed_waits_for_the_listener,
    a_lost_connection_is_caught_up_with,
    a_restarted_server_is_caught_up_with,
    a_lost_router_is_caught_up_with,
    what_was_deleted_meanwhile_is_told,
    a_failover_is_told,
    an_outbox_that_is_not_installed_is_waited_for,
    a_user_needs_rights_to_read_and_to_publish,
];

fn subscribed_waits_for_the_listener(backend: Backend) {
    let database = Database::create("outages_waiting", backend);
    install(&database);
    let mut sql = database.client();
    let mut allow = allowing(&database);
    allow(false);
    let topics = json!({"channels": {"stock": "com.stock"}, "outbox": {"topics": ["com.shop"]}});
    let node = start(&database, &topics);
    let mut waiting: Vec<_> = ["com.stock", "com.shop", STOCK]
        .map(|topic| {
            let mut client = Client::join(node.address());
            let request = client.next_request();
            client.send(&json!([code::SUBSCRIBE, request, {}, topic]));
            (client, request)
        })
        .into();
    // Others have nothing to do with it.
    drop(subscriber(&node, "com.shopping"));
    drop(subscriber(&node, "com.other"));
    for (client, _) in &waiting {
        let stream = client.stream();
        stream.set_nonblocking(true).expect("a socket");
        let came = stream.peek(&mut [0]).map_err(|error| error.kind());
        assert_eq!(
            came,
            Err(ErrorKind::WouldBlock),
            "SUBSCRIBED is not sent yet"
        );
        stream.set_nonblocking(false).expect("a socket");
    }
    allow(true);
    for (client, request) in &mut waiting {
        client.expect(&json!([code::SUBSCRIBED, request, ANY]));
    }
    sql.batch_execute("NOTIFY stock, '1'; SELECT wampgres.publish('com.shop', '[1]')")
        .expect("events");
    publish(&mut sql, 1);
    for (client, _) in &mut waiting {
        assert_eq!(firsts(client, 1), [1]);
    }
}

/// Says whether anybody may connect to a database.
fn allowing(database: &Database) -> impl FnMut(bool) {
    let mut admin = Postgres::shared().database().client();
    let name = database.name().to_owned();
    move |allow| {
        let alter = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allow}");
        admin.batch_execute(&alter).expect("an admin");
    }
}

fn a_lost_connection_is_caught_up_with(backend: Backend) {
    let (database, node) = with_outbox("outages_lost", backend);
    let mut client = subscriber(&node, STOCK);
    let (mut sql, mut observer) = (database.client(), database.observe());
    let mut expected = 0;
    for _ in 0..3 {
        assert!(observer.terminate_backends() > 0);
        for _ in 0..50 {
            expected += 1;
            publish(&mut sql, expected);
        }
        let numbers: Vec<_> = (expected - 49..=expected).map(Value::from).collect();
        assert_eq!(firsts(&mut client, 50), numbers);
    }
}

fn a_restarted_server_is_caught_up_with(backend: Backend) {
    let postgres = Postgres::stopped();
    postgres.start();
    let database = postgres.database().on(backend);
    install(&database);
    let node = start(&database, &json!({"outbox": true}));
    let mut client = subscriber(&node, STOCK);
    publish(&mut database.client(), 1);
    assert_eq!(firsts(&mut client, 1), [1]);
    for (mode, numbers) in [("fast", [2, 3]), ("immediate", [4, 5])] {
        publish(&mut database.client(), numbers[0]);
        postgres.restart(mode);
        publish(&mut database.client(), numbers[1]);
        assert_eq!(firsts(&mut client, 2), numbers, "{mode}");
    }
}

/// An event that may have got lost with the connection comes again, by its id; one that was acknowledged
/// does not.
fn a_lost_router_is_caught_up_with(backend: Backend) {
    let database = Database::create("outages_router", backend);
    install(&database);
    let (sender, publications) = mpsc::channel();
    let mut left = 2;
    let router = fake_router::start(move |from, message| match message[0].as_u64() {
        Some(code::REGISTER) => say(from, json!([code::REGISTERED, message[1], 1])),
        Some(code::PUBLISH) => {
            // The test may be over.
            let _ = sender.send((from, message[3].clone(), message[5].clone()));
            left -= 1;
            match left {
                0 => vec![(from, String::new())],
                _ => say(from, json!([code::PUBLISHED, message[1], 1])),
            }
        }
        _ => Vec::new(),
    });
    let mut config = config_of(&database, &json!({"outbox": true}));
    let transport = &mut config["workers"][1]["components"][0]["transport"];
    transport["url"] = json!(format!("ws://{router}/ws"));
    let mut node = Node::start(&config);
    node.wait_for_log(LIVE);
    node.wait_for_log("registered 1 procedures");
    let next = || publications.recv_timeout(PATIENCE).expect("a publication");
    let mut sql = database.client();
    let [first, second] = [1, 2].map(|n| publish(&mut sql, n));
    assert_eq!(next(), (0, json!(STOCK), json!({"_event": first})));
    assert_eq!(next(), (0, json!(STOCK), json!({"_event": second})));
    assert_eq!(next(), (1, json!(STOCK), json!({"_event": second})));
    let third = publish(&mut sql, 3);
    assert_eq!(next(), (1, json!(STOCK), json!({"_event": third})));
}

fn what_was_deleted_meanwhile_is_told(backend: Backend) {
    let (database, mut node) = with_outbox("outages_deleted", backend);
    let mut client = subscriber(&node, STOCK);
    client.subscribe("com.shop.events.missing");
    let (mut sql, mut observer) = (database.client(), database.observe());
    let mut allow = allowing(&database);
    allow(false);
    observer.terminate_backends();
    observer.wait_for_backends(0);
    publish(&mut sql, 1);
    // As it is when so many events come that old ones have to go.
    let delete =
        "UPDATE wampgres.outbox_deleted SET old_xmin = pg_snapshot_xmax(pg_current_snapshot()),
                      young_at = clock_timestamp();
                  SELECT wampgres.delete_events(0, '1 hour', 1000, 1000)";
    sql.batch_execute(delete).expect("a deletion");
    publish(&mut sql, 2);
    allow(true);
    assert_eq!(event(&mut client), (json!([]), json!({"_missing": true})));
    assert_eq!(firsts(&mut client, 1), [2]);
    node.wait_for_log("events were deleted before they were published: raise `max_age`");
}

/// The server recovers as one that has taken over from another does.
fn a_failover_is_told(backend: Backend) {
    let postgres = Postgres::stopped();
    postgres.start();
    let database = postgres.database().on(backend);
    install(&database);
    let mut node = start(&database, &json!({"outbox": true}));
    let mut client = subscriber(&node, STOCK);
    client.subscribe("com.shop.events.missing");
    let mut sql = database.client();
    publish(&mut sql, 1);
    assert_eq!(firsts(&mut client, 1), [1]);
    sql.batch_execute("ALTER SYSTEM SET restore_command = 'false'")
        .expect("a setting");
    let directory = sql.query_one("SHOW data_directory", &[]).expect("a path");
    let signal = Path::new(directory.get::<_, &str>(0)).join("recovery.signal");
    fs::write(signal, "").expect("a signal");
    postgres.restart("fast");
    publish(&mut database.client(), 2);
    assert_eq!(event(&mut client), (json!([]), json!({"_missing": true})));
    assert_eq!(firsts(&mut client, 1), [2]);
    node.wait_for_log("the server is another one now");
}

fn an_outbox_that_is_not_installed_is_waited_for(backend: Backend) {
    let database = Database::create("outages_none", backend);
    let mut node = Node::start(&config_of(&database, &json!({"outbox": true})));
    node.wait_for_log("the outbox is not installed in this database: run `wampgres sql-install`");
    install(&database);
    node.wait_for_log(LIVE);
    let mut client = subscriber(&node, STOCK);
    publish(&mut database.client(), 1);
    assert_eq!(firsts(&mut client, 1), [1]);
}

fn a_user_needs_rights_to_read_and_to_publish(backend: Backend) {
    let database = Database::create("outages_rights", backend);
    install(&database);
    let (reader, writer) = (format!("reader_{backend}"), format!("writer_{backend}"));
    let mut sql = database.client();
    let roles = format!("CREATE ROLE {reader} LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE {writer}");
    sql.batch_execute(&roles).expect("roles");
    let mut config = config_of(&database, &json!({"outbox": true}));
    config["workers"][1]["components"][0]["extra"]["database"]["user"] = json!(reader);
    let mut node = Node::start(&config);
    node.wait_for_log("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wampgres to it");
    let grant = format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wampgres TO {reader}");
    sql.batch_execute(&grant).expect("a grant");
    node.wait_for_log(LIVE);
    let mut client = subscriber(&node, STOCK);

    sql.batch_execute(&format!("SET ROLE {writer}"))
        .expect("a role");
    let refused = sql.query("SELECT wampgres.publish('com.a')", &[]);
    let refused = refused.expect_err("it is not granted");
    assert_eq!(refused.code().map(SqlState::code), Some("42501"));
    let grant = format!(
        "RESET ROLE; GRANT EXECUTE ON FUNCTION wampgres.publish TO {writer}; SET ROLE {writer}"
    );
    sql.batch_execute(&grant).expect("a grant");
    publish(&mut sql, 1);
    assert_eq!(firsts(&mut client, 1), [1]);
    let forged = sql.query("SELECT * FROM wampgres.outbox", &[]);
    assert!(forged.is_err(), "nobody needs rights to the table");
    drop(node);
    sql.batch_execute(&format!(
        "RESET ROLE; DROP OWNED BY {reader}, {writer}; DROP ROLE {reader}, {writer}"
    ))
    .expect("no roles");
}
