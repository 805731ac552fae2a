//! Calls on the wire: what reaches whom, in which order, and that none goes without an answer.

use std::collections::HashSet;

use serde_json::json;

use crate::support::{
    node::{Node, config, router},
    wait,
    websocket::{ANY, Client, Echo, Received, code},
};

#[test]
fn arguments_reach_the_other_end_as_they_were_written() {
    let node = Node::start(&config(&[router()]));
    let mut callee = Client::join(node.address());
    let registration = callee.register("com.example.procedure");
    let mut caller = Client::join(node.address());
    // Numbers that no double holds, escapes and the order of keys: all stay.
    for payload in [
        r#",[1.0,1e3,-0.0,123456789012345678901234567890],{"b":1,"a":"\u00e4\u0000ä"}"#,
        ",[]",
        "",
    ] {
        let request = caller.next_request();
        caller.send_text(&format!(
            r#"[48,{request},{{}},"com.example.procedure"{payload}]"#
        ));
        let Received::Text(invocation) = callee.receive() else {
            panic!("no INVOCATION");
        };
        let id = invocation.split(',').nth(1).expect("an id");
        assert_eq!(
            invocation,
            format!("[68,{id},{registration},{{}}{payload}]")
        );
        callee.send_text(&format!("[70,{id},{{}}{payload}]"));
        let result = format!("[50,{request},{{}}{payload}]");
        assert_eq!(caller.receive(), Received::Text(result));
    }
}

#[test]
fn an_error_of_the_callee_is_the_callers() {
    let node = Node::start(&config(&[router()]));
    let mut callee = Client::join(node.address());
    callee.register("com.example.failing");
    let mut caller = Client::join(node.address());
    let request = caller.call("com.example.failing", &json!([]));
    let invocation = callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, []]));
    let error = json!([
        code::ERROR, code::INVOCATION, invocation[1], {}, "com.example.failed", ["why"], {"n": 1}
    ]);
    callee.send(&error);
    caller.expect(&json!([
        code::ERROR, code::CALL, request, {}, "com.example.failed", ["why"], {"n": 1}
    ]));
}

#[test]
fn a_call_that_cannot_be_made_is_refused() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let mut client = Client::join(node.address());
    for (procedure, error) in [
        ("com.example.nothing", "wamp.error.no_such_procedure"),
        ("com..nothing", "wamp.error.invalid_uri"),
        ("org.example.nothing", "wamp.error.not_authorized"),
    ] {
        let request = client.call(procedure, &json!([]));
        let message = client.expect_error(code::CALL, request, error);
        assert!(message.contains(procedure), "{procedure} in {message}");
    }
    for (procedure, options, error) in [
        (
            "com.example.echo",
            json!({}),
            "wamp.error.procedure_already_exists",
        ),
        ("com example", json!({}), "wamp.error.invalid_uri"),
        (
            "com.other",
            json!({"match": "prefix"}),
            "wamp.error.option_not_allowed",
        ),
        (
            "com.other",
            json!({"invoke": "roundrobin"}),
            "wamp.error.option_not_allowed",
        ),
    ] {
        let request = client.next_request();
        client.send(&json!([code::REGISTER, request, options, procedure]));
        client.expect_error(code::REGISTER, request, error);
    }
    assert_eq!(
        client.result_of("com.example.echo", &json!([1])),
        json!([1])
    );
}

#[test]
fn a_caller_whose_callee_disappears_gets_an_error_at_once() {
    let node = Node::start(&config(&[router()]));
    let mut caller = Client::join(node.address());
    let violate = |mut callee: Client| {
        callee.send_text("[]");
        callee.expect_abort("wamp.error.protocol_violation");
    };
    // The connection breaks, a GOODBYE, a violation.
    let ways: [fn(Client); 3] = [drop, Client::leave, violate];
    for (way, disappear) in ways.into_iter().enumerate() {
        let mut callee = Client::join(node.address());
        callee.register("com.example.vanishing");
        let calls = [1, 2].map(|n| caller.call("com.example.vanishing", &json!([n])));
        for n in [1, 2] {
            callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, [n]]));
        }
        disappear(callee);
        for request in calls {
            let message = caller.expect_error(code::CALL, request, "wamp.error.canceled");
            assert!(message.contains("callee"), "way {way}: {message}");
        }
    }
    let request = caller.call("com.example.vanishing", &json!([]));
    caller.expect_error(code::CALL, request, "wamp.error.no_such_procedure");
}

#[test]
fn an_answer_whose_caller_is_gone_is_ignored() {
    let node = Node::start(&config(&[router()]));
    let mut callee = Client::join(node.address());
    callee.register("com.example.procedure");
    let mut caller = Client::join(node.address());
    caller.register("com.example.of.the.caller");
    caller.call("com.example.procedure", &json!([]));
    let invocation = callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, []]));
    drop(caller);
    // When its name is free the caller is gone for the node, too.
    let mut observer = Client::join(node.address());
    wait::until("the node to see that the caller is gone", || {
        let request = observer.next_request();
        observer.send(&json!([
            code::REGISTER,
            request,
            {},
            "com.example.of.the.caller"
        ]));
        (observer.message()[0] == code::REGISTERED).then_some(())
    });
    callee.send(&json!([code::YIELD, invocation[1], {}, ["late"]]));
    callee.send(&json!([
        code::ERROR,
        code::INVOCATION,
        invocation[1],
        {},
        "com.late"
    ]));

    let request = observer.call("com.example.procedure", &json!(["next"]));
    let invocation = callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, ["next"]]));
    callee.send(&json!([code::YIELD, invocation[1], {}, ["in time"]]));
    observer.expect(&json!([code::RESULT, request, {}, ["in time"]]));
}

#[test]
fn invocations_come_in_the_order_of_the_calls() {
    let node = Node::start(&config(&[router()]));
    let mut callee = Client::join(node.address());
    let registrations = ["com.example.one", "com.example.two"].map(|p| (p, callee.register(p)));
    let mut caller = Client::join(node.address());
    let mut last = 0;
    for n in 0..500 {
        caller.call(registrations[n % 2].0, &json!([n]));
    }
    for n in 0..500 {
        let invocation = callee.expect(&json!([
            code::INVOCATION,
            ANY,
            registrations[n % 2].1,
            {},
            [n]
        ]));
        let request = invocation[1].as_u64().expect("an id");
        assert_eq!(request, last + 1, "request ids count");
        last = request;
    }
}

#[test]
fn each_of_five_thousand_pipelined_calls_gets_just_one_answer() {
    const CALLS: u64 = 5_000;
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let mut caller = Client::join(node.address());
    let mut pending: HashSet<u64> = (0..CALLS)
        .map(|n| match n % 10 {
            // Not all go the same way.
            9 => caller.call("com.example.nothing", &json!([])),
            _ => {
                let next = n + 1;
                caller.call("com.example.echo", &json!([next]))
            }
        })
        .collect();
    for _ in 0..CALLS {
        let answer = caller.message();
        let request = match answer[0].as_u64() {
            Some(code::RESULT) => {
                assert_eq!(answer[3][0], answer[1], "its own value");
                &answer[1]
            }
            Some(code::ERROR) => {
                assert_eq!(answer[2].as_u64().expect("an id") % 10, 0);
                &answer[2]
            }
            _ => panic!("no answer to a CALL: {answer}"),
        };
        let request = request.as_u64().expect("an id");
        assert!(pending.remove(&request), "{request} is answered twice");
    }
    assert_eq!(pending.len(), 0);
    assert_eq!(
        caller.result_of("com.example.echo", &json!([0])),
        json!([0])
    );
}
