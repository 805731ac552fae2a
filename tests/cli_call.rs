//! `wampgres call`: what it sends, what it prints, and its exit codes.

use serde_json::{Value, json};

use crate::support::{
    cli::{Cli, run},
    fake_router::{self, say},
    node::{Node, config, router},
    port,
    websocket::{Client, Echo, Received, code},
};

const ECHO: &str = "com.example.echo";

#[test]
fn words_are_json_where_they_can_be_and_strings_else() {
    let node = Node::start(&config(&[router()]));
    let mut callee = Client::join(node.address());
    callee.register("com.example.seen");
    for (args, payload) in [
        (&[][..], json!([])),
        (
            &["1", "-2.50", "tea", "\"3\"", "true", "[1, 2]", "007"],
            json!([[1, -2.5, "tea", "3", true, [1, 2], "007"]]),
        ),
        (&["--strings", "1", "true"], json!([["1", "true"]])),
        (
            &[
                "1",
                "--kwargs",
                r#"{"a": {"b": null}}"#,
                "-k",
                "c=tea",
                "-k",
                "d=2",
            ],
            json!([[1], {"a": {"b": null}, "c": "tea", "d": 2}]),
        ),
        (&["--strings", "-k", "d=2"], json!([[], {"d": "2"}])),
        (&["-k", "a=b=c"], json!([[], {"a": "b=c"}])),
        (&["--", "--tea"], json!([["--tea"]])),
    ] {
        let mut words = vec!["com.example.seen"];
        words.extend(args);
        let call = Cli::start_at(node.address(), "call", &words);
        let invocation = callee.message();
        let seen = invocation.as_array().expect("a message")[4..].to_vec();
        assert_eq!(json!(seen), payload, "{args:?}");
        callee.send(&json!([code::YIELD, invocation[1], {}]));
        assert_eq!(call.finish().value(), json!(null));
    }
}

#[test]
fn digits_stay_as_they_are_and_results_are_one_line() {
    let node = Node::start(&config(&[router()]));
    let mut callee = Client::join(node.address());
    callee.register("com.example.digits");
    let large = "12345678901234567890.10";
    let call = Cli::start_at(node.address(), "call", &["com.example.digits", large]);
    let Received::Text(invocation) = callee.receive() else {
        panic!("no invocation");
    };
    assert!(invocation.contains(large), "{invocation}");
    let request = &serde_json::from_str::<Value>(&invocation).expect("JSON")[1];
    callee.send_text(&format!("[{}, {request}, {{}}, [{large}]]", code::YIELD));
    assert_eq!(call.finish().stdout, [large]);
    let _echo = Echo::start(node.address(), ECHO);
    let object = run(
        node.address(),
        "call",
        &[ECHO, "{\n  \"a b\" : [ 1,\n2 ]\n}"],
    );
    assert_eq!(object.stdout, [r#"{"a b":[1,2]}"#]);
    let several = run(node.address(), "call", &[ECHO, "1", "2"]);
    assert_eq!(several.stdout, [r#"{"args":[1,2],"kwargs":{}}"#]);
    let full = run(node.address(), "call", &[ECHO, "1", "--full"]);
    assert_eq!(full.stdout, [r#"{"args":[1],"kwargs":{}}"#]);
}

#[test]
fn arguments_that_others_must_not_see_come_by_standard_input() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), ECHO);
    for (input, result) in [
        (
            "[1, \"secret\"]",
            json!({"args": [1, "secret"], "kwargs": {}}),
        ),
        (r#"{"args": ["secret"]}"#, json!("secret")),
        ("{}\n", json!(null)),
    ] {
        let mut call = Cli::start_at(node.address(), "call", &[ECHO, "--input", "-"]);
        call.write(input);
        assert_eq!(call.finish().value(), result);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("args.json");
    std::fs::write(&file, "[7]").expect("a file");
    let file = file.to_str().expect("a path");
    let of_file = run(node.address(), "call", &[ECHO, "--input", file]);
    assert_eq!(of_file.value(), json!(7));
    for (input, words) in [
        ("", "--input -: EOF"),
        ("7", "--input -: must be a JSON list, or an object"),
        (r#"{"arg": []}"#, "unknown field `arg`"),
        ("[] []", "--input -: trailing characters"),
    ] {
        let mut call = Cli::start_at(node.address(), "call", &[ECHO, "--input", "-"]);
        call.write(input);
        call.finish().assert_fails(2, words);
    }
}

#[test]
fn an_error_has_its_uri_and_its_message_and_what_else_it_says() {
    let node = Node::start(&config(&[router()]));
    let missing = run(node.address(), "call", &["com.example.none"]);
    missing.assert_fails(3, "wampgres call: wamp.error.no_such_procedure: no callee");
    let refused = run(node.address(), "call", &["org.example.none"]);
    refused.assert_fails(
        3,
        "wampgres call: wamp.error.not_authorized: role 'anonymous'",
    );

    let mut callee = Client::join(node.address());
    callee.register("com.example.fails");
    let call = Cli::start_at(node.address(), "call", &["com.example.fails"]);
    let request = callee.message()[1].clone();
    callee.send(&json!([
        code::ERROR, code::INVOCATION, request, {}, "com.example.error.sold_out",
        ["no tea"], {"left": 0}
    ]));
    let outcome = call.finish();
    outcome.assert_fails(3, "wampgres call: com.example.error.sold_out: no tea");
    let details = outcome.stderr.lines().nth(1);
    assert_eq!(details, Some(r#"{"args":["no tea"],"kwargs":{"left":0}}"#));
}

#[test]
fn what_is_wrong_with_the_command_line_is_said_before_anything_is_dialled() {
    for (args, words) in [
        (&["com.a", "--kwargs", "[1]"][..], "invalid value"),
        (&["com.a", "-k", "a"], "must have the form NAME=VALUE"),
        (
            &["com.a", "-k", "a=1", "-k", "a=2"],
            "the keyword argument \"a\" is given twice",
        ),
        (&["com.a", "1", "--input", "-"], "cannot be used with"),
        (
            &["com.a", "--url", "wss://127.0.0.1/ws"],
            "--url: `wss://` (TLS)",
        ),
        (
            &["com.a", "--url", "http://127.0.0.1"],
            "--url: must be a WebSocket URL",
        ),
        (
            &["com.a", "--url", "ws://127.0.0.1:0/ws"],
            "--url: nobody can be reached at port 0",
        ),
        (
            &["com.a", "--config", "/nowhere/config.json"],
            "/nowhere/config.json: ",
        ),
        (
            &["com.a", "--input", "/nowhere/args.json"],
            "--input /nowhere/args.json: ",
        ),
        (&["com.a", "--timeout", "0"], "not a number of seconds"),
        (&[], "required"),
    ] {
        let mut words_of_line = vec!["call"];
        words_of_line.extend(args);
        Cli::start(&words_of_line).finish().assert_fails(2, words);
    }
}

#[test]
fn a_router_that_is_not_there_or_lets_nobody_in_or_goes_away_is_no_session() {
    let reserved = port::reserved();
    let url = format!("ws://127.0.0.1:{}/ws?ticket=secret", reserved.number());
    let nobody = Cli::start(&["call", ECHO, "--url", &url]).finish();
    nobody.assert_fails(1, "wampgres call: no session at ws://127.0.0.1:");
    assert!(nobody.stderr.contains("Connection refused"), "{nobody:?}");
    assert!(!nobody.stderr.contains("secret"), "{nobody:?}");

    let unknown = Cli::start(&["call", ECHO, "--url", "ws://wampgres.invalid/ws"]).finish();
    unknown.assert_fails(1, "cannot be resolved");

    let node = Node::start(&config(&[router()]));
    let realm = run(node.address(), "call", &[ECHO, "--realm", "realm9"]);
    realm.assert_fails(1, "wamp.error.no_such_realm: there is no realm 'realm9'");
    let page = format!("ws://{}/nothing", node.address());
    let page = Cli::start(&["call", ECHO, "--url", &page]).finish();
    page.assert_fails(1, "the handshake failed: the answer is 404");

    let lost = fake_router::start(|from, _| vec![(from, String::new())]);
    let lost = run(lost, "call", &[ECHO]);
    lost.assert_fails(
        1,
        "wampgres call: the session has ended: the connection to the router",
    );
}

#[test]
fn the_address_and_the_realm_come_from_a_configuration() {
    let reserved = port::reserved();
    let mut router = router();
    router["transports"][0]["endpoint"]["port"] = json!(reserved.number());
    router["transports"][0]["paths"]["wamp"] = json!({"type": "websocket"});
    let paths = router["transports"][0]["paths"].as_object_mut();
    paths.expect("paths").remove("ws");
    router["realms"][0]["name"] = json!("shop");
    let node = Node::start(&config(&[router]));
    let file = node.directory().join("config.json");
    let file = file.to_str().expect("a path");
    let call = Cli::start(&["call", ECHO, "--config", file]).finish();
    call.assert_fails(3, "wamp.error.no_such_procedure");
    let other = Cli::start(&["call", ECHO, "--config", file, "--realm", "realm1"]).finish();
    other.assert_fails(1, "wamp.error.no_such_realm");
}

/// A router whose procedure answers in three parts, the last with this payload.
fn in_parts(last: Value) -> std::net::SocketAddr {
    fake_router::start(move |from, message| {
        assert_eq!(message[2], json!({"receive_progress": true}));
        let part = |n| json!([code::RESULT, message[1], {"progress": true}, [n]]);
        let mut end = vec![json!(code::RESULT), message[1].clone(), json!({})];
        end.extend(last.as_array().expect("a payload").iter().cloned());
        let all = [part(1), part(2), json!(end)];
        all.into_iter().flat_map(|part| say(from, part)).collect()
    })
}

#[test]
fn parts_of_a_result_go_to_standard_error_or_to_standard_output() {
    let progress = run(in_parts(json!([["done"]])), "call", &[ECHO, "--progress"]);
    assert_eq!(progress.value(), json!("done"));
    assert_eq!(progress.stderr, "1\n2");
    let stream = run(in_parts(json!([])), "call", &[ECHO, "--stream"]);
    assert_eq!(
        (stream.code, stream.stdout.join(" ")),
        (Some(0), "1 2".to_owned())
    );
    assert_eq!(stream.stderr, "");
    let last = run(in_parts(json!([["end"]])), "call", &[ECHO, "--stream"]);
    assert_eq!(last.stdout, ["1", "2", "\"end\""]);
}

#[test]
fn a_call_that_takes_too_long_or_is_interrupted_is_canceled() {
    let node = Node::start(&config(&[router()]));
    let mut callee = Client::open(node.address());
    let features = json!({"features": {"call_canceling": true}});
    callee.send(&json!([code::HELLO, "realm1", {"roles": {"callee": features}}]));
    callee.welcomed();
    callee.register("com.example.slow");
    let mut interrupted = |call: Cli, end: &dyn Fn(&Cli)| {
        let request = callee.message()[1].clone();
        end(&call);
        let interrupt = callee.message();
        assert_eq!((&interrupt[0], &interrupt[1]), (&json!(69), &request));
        callee.send(&json!([code::YIELD, request, {}]));
        call.finish()
    };
    let args = ["com.example.slow", "--timeout", "0.2"];
    let slow = Cli::start_at(node.address(), "call", &args);
    interrupted(slow, &|_| {}).assert_fails(4, "wampgres call: --timeout is over");
    let slow = Cli::start_at(node.address(), "call", &["com.example.slow"]);
    let signal = |call: &Cli| call.signal(nix::sys::signal::Signal::SIGINT);
    interrupted(slow, &signal).assert_fails(130, "wampgres call: interrupted");
}
