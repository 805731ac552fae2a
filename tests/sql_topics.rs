//! Topics that a database publishes to: NOTIFY and the outbox, with the real node, PostgreSQL and
//! clients.

mod notify;
mod outages;
mod outbox;
mod since;

use postgres::Client as Sql;
use serde_json::{Value, json};

use crate::{
    sql_install::install,
    support::{
        backends::Backend,
        node::{HERE, Node, config, container, router},
        postgres::Database,
        websocket::{Client, code},
    },
};

const CLASS: &str = "sql.Procedures";
/// What a node says when it hears all that is published.
const LIVE: &str = "the topics of the database are live";
const STOCK: &str = "com.shop.stock";

/// The configuration of a node with these topics.
fn config_of(database: &Database, topics: &Value) -> Value {
    let extra = json!({"database": database.extra(), "prefix": "com.shop", "topics": topics});
    config(&[router(), container(CLASS, HERE, extra)])
}

/// A node of which nobody has waited for its database: SUBSCRIBED comes once it hears what is published.
fn start(database: &Database, topics: &Value) -> Node {
    Node::start(&config_of(database, topics))
}

/// A database with an outbox, and a node that publishes it.
fn with_outbox(name: &str, backend: Backend) -> (Database, Node) {
    let database = Database::create(name, backend);
    install(&database);
    let node = start(&database, &json!({"outbox": true}));
    (database, node)
}

/// A client that has subscribed.
fn subscriber(node: &Node, topic: &str) -> Client {
    let mut client = Client::join(node.address());
    client.subscribe(topic);
    client
}

/// The arguments of the next event.
fn event(client: &mut Client) -> (Value, Value) {
    let event = client.message();
    assert_eq!(event[0], code::EVENT, "{event}");
    let part = |at: usize, without| event.get(at).cloned().unwrap_or(without);
    (part(4, json!([])), part(5, json!({})))
}

/// The first argument of each of so many events.
fn firsts(client: &mut Client, count: usize) -> Vec<Value> {
    (0..count).map(|_| event(client).0[0].clone()).collect()
}

/// Publishes this number.
fn publish(sql: &mut Sql, number: i64) -> i64 {
    let publish = "SELECT wampgres.publish($1, jsonb_build_array($2::int8))";
    let row = sql.query_one(publish, &[&STOCK, &number]);
    row.expect("it is published").get(0)
}
