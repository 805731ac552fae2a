//! The example of a component on txpostgres, with the configuration that its documentation names.

use serde_json::{Value, json};

use crate::support::{example::example, node::Node, postgres::Postgres, websocket::Client};

#[test]
fn an_interaction_in_coroutine_style_commits_or_changes_nothing() {
    let text = include_str!("../examples/coroutine_component.json");
    let mut config: Value = serde_json::from_str(text).expect("JSON");
    let worker = &mut config["workers"][0];
    worker["transports"][0]["endpoint"]["port"] = json!(0);
    let database = Postgres::shared().database().extra();
    let extra = &mut worker["components"][0]["extra"]["database"];
    let backend = extra["backend"].take();
    *extra = database;
    extra["backend"] = backend;

    let node = Node::start_program(&example("coroutine_component"), &config, &[]);
    let mut client = Client::join(node.address());
    client.result_of("com.example.deliver", &json!(["apple", 5]));
    let left = client.result_of("com.example.sell", &json!(["apple", 2]));
    assert_eq!(left, json!([3]));
    let request = client.call("com.example.sell", &json!(["apple", 4]));
    client.answer_to(request).error("wamp.error.runtime_error");
    let left = client.result_of("com.example.sell", &json!(["apple", 3]));
    assert_eq!(left, json!([0]));
    client.leave();
}
