//! The example of a program with a component class of its own, with the configuration that its
//! documentation names.

use serde_json::{Value, json};

use crate::support::{
    autobahn::{Autobahn, Client},
    example::example,
    node::Node,
    postgres::Postgres,
};

#[test]
fn a_class_of_ones_own_answers() {
    let text = include_str!("../examples/custom_component.json");
    let mut config: Value = serde_json::from_str(text).expect("JSON");
    let worker = &mut config["workers"][0];
    worker["transports"][0]["endpoint"]["port"] = json!(0);
    let database = Postgres::shared().database().extra();
    worker["components"][0]["extra"]["database"] = database;

    let node = Node::start_program(&example("custom_component"), &config, &[]);
    let url = format!("ws://{}/", node.address());
    let mut client = Client::join(Autobahn::Python, &url);
    let sum = client.call("com.example.add2", json!([23, 7]), json!({}));
    assert_eq!(sum["args"], json!([30]));
    let total = client.call("com.example.total", json!([[1, 2, 3]]), json!({}));
    assert_eq!(total["args"], json!([6]));
    let error = client.call_error("com.example.add2", json!([23, "7"]), json!({}));
    assert_eq!(error["uri"], "wamp.error.invalid_argument", "{error}");
}
