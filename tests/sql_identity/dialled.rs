//! Procedures that serve another router, which discloses callers or does not.

use serde_json::{Value, json};

use super::{CLASS, database, extra};
use crate::support::{
    backends::{Backend, on_each_backend},
    node::{Node, config, container, router},
    websocket::Client,
};

on_each_backend!(what_another_router_discloses_is_what_sql_learns);

const WHO: &str = "SELECT wampgres.session(), wampgres.authid(), wampgres.authrole(), \
                   wampgres.authmethod(), wampgres.realm(), wampgres.procedure()";

fn what_another_router_discloses_is_what_sql_learns(backend: Backend) {
    let database = database("sqlid_dialled", backend);
    let mut serving = router();
    let permissions = &mut serving["realms"][0]["roles"][0]["permissions"];
    let allow = json!({"call": true, "register": true});
    permissions
        .as_array_mut()
        .expect("permissions")
        .push(json!({
            "uri": "com.open.", "match": "prefix", "allow": allow, "disclose": {"caller": true}
        }));
    let serving = Node::start(&config(&[serving]));
    let procedure = |sql: &str| json!({"sql": sql, "returns": "arrays"});
    let mut extra = extra(
        &database,
        json!({"procedures": {
            "com.open.mine": procedure("SELECT note FROM notes"),
            "com.secret.mine": procedure("SELECT note FROM notes")
        }}),
    );
    let with_roles = container(CLASS, &serving.websocket_url(), extra.clone());
    extra.as_object_mut().expect("an object").remove("roles");
    extra["procedures"] = json!({"com.open.who": procedure(WHO), "com.secret.who": procedure(WHO)});
    let without_roles = container(CLASS, &serving.websocket_url(), extra);
    let mut node = Node::start(&config(&[with_roles, without_roles]));
    node.wait_for_log("registered 5 procedures");
    node.wait_for_log("registered 2 procedures");
    let mut client = Client::join(serving.address());
    let session = client.session();
    let who = |client: &mut Client, uri: &str| client.result_of(uri, &json!([]))[0][0].clone();
    assert_eq!(
        who(&mut client, "com.open.who"),
        json!([
            session,
            session.to_string(),
            "anonymous",
            null,
            "realm1",
            "com.open.who"
        ])
    );
    // Once it was told, and then it is not.
    assert_eq!(
        who(&mut client, "com.secret.who"),
        json!([null, null, null, null, "realm1", "com.secret.who"])
    );
    assert_eq!(client.result_of("com.open.mine", &json!([])), json!([[]]));
    let refused = client.call("com.secret.mine", &json!([]));
    let refused = client.answer_to(refused).error("wamp.error.not_authorized");
    assert!(
        refused
            .message
            .starts_with("the router does not tell who calls"),
        "{refused:?}"
    );
    assert_eq!(refused.details, Value::Null);
}
