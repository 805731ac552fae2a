//! One budget for the node's memory: whoever makes it hold most is told and dropped, others are
//! served, and the process stays near its limit.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{
    node::{Node, config, router, router_with},
    wait,
    websocket::{Client, Echo, Received, code, frame},
};

const MIB: usize = 1 << 20;
/// Near the largest that the default allows.
const LARGE: usize = 3_900_000;
/// What may be taken beyond the limit: a message in work is in memory a few times, and what is given
/// back is not the system's at once.
const OVERHEAD: usize = 64 * MIB;
const ECHO: &str = "com.example.echo";

fn limited(limit: usize, router: Value) -> Value {
    let mut config = config(&[router]);
    config["limits"] = json!({"memory_limit": limit, "max_connections_per_address": 0});
    config
}

/// A router that drops nobody for its time, however slow the machine is.
fn patient_router() -> Value {
    router_with(json!({"message_timeout": 600_000}))
}

/// A figure of the node's memory, in bytes.
fn memory(node: &Node, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("proc(5)");
    let line = (status.lines())
        .find_map(|line| line.strip_prefix(name))
        .expect("a figure of the memory");
    let kib: usize = (line.trim().trim_end_matches(" kB").parse()).expect("a number");
    kib * 1024
}

/// A call with so long an argument.
fn call(len: usize) -> Vec<u8> {
    let text = json!([code::CALL, 1, {}, ECHO, ["x".repeat(len)]]).to_string();
    frame(0x81, text.as_bytes())
}

/// A session with a message that lacks its end, as far as the node takes it at once.
fn unfinished(node: &Node, bytes: &[u8]) -> Client {
    let client = Client::join(node.address());
    let mut stream = client.stream();
    (stream.set_write_timeout(Some(Duration::from_millis(20)))).expect("a timeout");
    // The node may let it wait, or have ended it in the midst.
    let _ = stream.write_all(&bytes[..bytes.len() - 10]);
    client
}

/// Whether the node has told this client to try again later.
fn is_told(client: &mut Client) -> bool {
    match client.receive() {
        Received::Close(Some((code, reason))) => {
            assert_eq!(code, CloseCode::Again, "{reason}");
            assert!(reason.contains("memory_limit"), "{reason}");
            true
        }
        Received::End { .. } => false,
        other => panic!("awaited the end, received {other:?}"),
    }
}

fn leave_messages_unfinished(mut node: Node, attackers: usize, limit: usize) -> Node {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit of open files");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit may be raised");
    let _echo = Echo::start(node.address(), ECHO);
    let before = memory(&node, "VmRSS:");
    let mut behaved = Client::join(node.address());
    let mut small = unfinished(&node, &call(50_000));
    let (large, mut clients) = (call(LARGE), Vec::new());
    for n in 0..attackers {
        clients.push(unfinished(&node, &large));
        if n % 10 == 0 {
            let args = json!([n, "x".repeat(1000)]);
            assert_eq!(behaved.result_of(ECHO, &args), args);
        }
    }
    let peak = memory(&node, "VmHWM:");
    assert!(peak < before + limit + OVERHEAD, "{peak} after {before}");
    node.wait_for_log("memory_limit");
    assert!(node.log().contains("client=127.0.0.1:"), "{}", node.log());
    // Those that are left hold what fits, and hear nothing. Whoever is gone and reads has been told.
    let brief = Some(Duration::from_millis(5));
    let told = (clients.iter_mut())
        .filter(|client| {
            let stream = client.stream();
            (stream.set_read_timeout(brief)).expect("a timeout");
            stream.peek(&mut [0]).is_ok()
        })
        .map(is_told)
        .filter(|is_told| *is_told)
        .count();
    assert!(told > 0, "nobody was told");
    eprintln!("{told} of {attackers} were told; {peak} bytes at most, {before} before");
    // A small message that is ended after all is answered.
    small.send_bytes(b"xxxxxxx\"]]");
    let result = small.expect(&json!([code::RESULT, 1, {}, ["<any>"]]));
    assert_eq!(result[3][0].as_str().map(str::len), Some(50_000));
    drop(clients);
    assert_eq!(behaved.result_of(ECHO, &json!(["large"])), json!(["large"]));
    wait::until("the memory to come back", || {
        (memory(&node, "VmRSS:") < before + OVERHEAD).then_some(())
    });
    node
}

#[test]
fn a_thousand_unfinished_messages_cost_no_more_than_the_limit() {
    let limit = 64 * MIB;
    let node = Node::start(&limited(limit, patient_router()));
    leave_messages_unfinished(node, 1_000, limit);
}

#[test]
fn events_for_those_who_do_not_read_are_held_once_and_beyond_the_limit_their_holders_go() {
    let mut node = Node::start(&limited(
        8 * MIB,
        router_with(json!({"outbox_limit": 256 * MIB})),
    ));
    let before = memory(&node, "VmRSS:");
    let mut deaf: Vec<_> = (0..20).map(|_| Client::join(node.address())).collect();
    deaf.iter_mut().for_each(|client| {
        client.subscribe("com.example.topic");
    });
    let mut reader = Client::join(node.address());
    reader.subscribe("com.example.topic");
    let mut publisher = Client::join(node.address());
    for _ in 0..300 {
        publisher.publish("com.example.topic", &json!(["x".repeat(60_000)]));
        assert_eq!(reader.message()[4][0].as_str().map(str::len), Some(60_000));
    }
    node.wait_for_log("memory_limit");
    let peak = memory(&node, "VmHWM:");
    assert!(peak < before + 8 * MIB + OVERHEAD, "{peak} after {before}");
    wait::until("the events to be given back", || {
        (memory(&node, "VmRSS:") < before + OVERHEAD / 2).then_some(())
    });
    // Who reads and who publishes are there.
    publisher.publish("com.example.topic", &json!(["last"]));
    assert_eq!(reader.message()[4], json!(["last"]));
}

#[test]
fn four_large_events_for_two_hundred_who_do_not_read_cost_these_and_not_their_publisher() {
    let limit = 12 * MIB;
    let mut node = Node::start(&limited(limit, router()));
    let _echo = Echo::start(node.address(), ECHO);
    let before = memory(&node, "VmRSS:");
    let deaf: Vec<_> = (0..200).map(|_| Client::join(node.address())).collect();
    let deaf: Vec<_> = (deaf.into_iter())
        .map(|mut client| {
            client.subscribe("com.example.topic");
            client
        })
        .collect();
    let [mut behaved, mut publisher] = [(); 2].map(|()| Client::join(node.address()));
    let publishing = thread::spawn(move || {
        for _ in 0..4 {
            let (request, text) = (publisher.next_request(), "x".repeat(LARGE));
            let acknowledge = json!({"acknowledge": true});
            let topic = "com.example.topic";
            publisher.send(&json!([code::PUBLISH, request, acknowledge, topic, [text]]));
            publisher.expect(&json!([code::PUBLISHED, request, "<any>"]));
        }
        publisher
    });
    let mut calls = 0;
    while !publishing.is_finished() || calls < 10 {
        calls += 1;
        assert_eq!(behaved.result_of(ECHO, &json!([calls])), json!([calls]));
    }
    node.wait_for_log("memory_limit");
    let peak = memory(&node, "VmHWM:");
    eprintln!("{peak} bytes at most, {before} before");
    assert!(peak < before + limit + OVERHEAD, "{peak} after {before}");
    // The publisher was not dropped, and is heard by those who read.
    let mut publisher = publishing.join().expect("all four were taken");
    let mut reader = Client::join(node.address());
    reader.subscribe("com.example.topic");
    publisher.publish("com.example.topic", &json!(["last"]));
    assert_eq!(reader.message()[4], json!(["last"]));
    drop(deaf);
    wait::until("the memory to come back", || {
        (memory(&node, "VmRSS:") < before + OVERHEAD / 2).then_some(())
    });
}

#[test]
fn a_newcomer_waits_for_room_while_who_stands_still_is_dropped_and_who_sends_is_not() {
    let mut node = Node::start(&limited(8 * MIB, router()));
    let _echo = Echo::start(node.address(), ECHO);
    let large = call(LARGE);
    let mut still = unfinished(&node, &large);
    let mut sender = Client::join(node.address());
    let mut pieces = large.chunks(20_000);
    let mut send = |client: &Client| {
        if let Some(piece) = pieces.next() {
            client.stream().write_all(piece).expect("it is taken");
        }
        pieces.len()
    };
    send(&sender);
    let mut newcomer = Client::join(node.address());
    let waiting = thread::spawn(move || {
        let text = "x".repeat(LARGE);
        assert_eq!(newcomer.result_of(ECHO, &json!([text])), json!([text]));
    });
    let brief = Some(Duration::from_millis(10));
    still.stream().set_read_timeout(brief).expect("a timeout");
    while still.stream().peek(&mut [0]).is_err() {
        assert!(send(&sender) > 0, "nobody was dropped in all this time");
    }
    assert!(is_told(&mut still), "who stands still is told");
    while send(&sender) > 0 {}
    let result = sender.expect(&json!([code::RESULT, 1, {}, ["<any>"]]));
    assert_eq!(result[3][0].as_str().map(str::len), Some(LARGE));
    waiting.join().expect("the newcomer is served");
    assert_eq!(node.log().matches("dropping a client").count(), 1);
    node.wait_for_log("memory_limit");
}

#[test]
fn a_thousand_calls_for_one_procedure_are_answered_or_refused_within_their_share() {
    let mut node = Node::start(&limited(64 * MIB, router()));
    let mut callee = Client::join(node.address());
    let request = callee.next_request();
    callee.send(&json!([code::REGISTER, request, {"concurrency": 1}, "com.example.slow"]));
    callee.expect(&json!([code::REGISTERED, request, "<any>"]));
    let mut caller = Client::join(node.address());
    let before = memory(&node, "VmRSS:");
    let mut stream = caller.stream().try_clone().expect("a socket can be shared");
    let calling = thread::spawn(move || {
        let text = "x".repeat(1_000_000);
        for n in 1..=1_000_u64 {
            let call = format!(r#"[{},{n},{{}},"com.example.slow",["{text}"]]"#, code::CALL);
            (stream.write_all(&frame(0x81, call.as_bytes()))).expect("the caller stays");
        }
    });
    assert_eq!(callee.message()[0], code::INVOCATION);
    // 16 MiB may wait, and one caller may have half of what is free. Each of the rest is refused.
    for _ in 0..980 {
        let refusal = caller.message();
        assert_eq!(refusal[0], code::ERROR, "{refusal}");
        assert_eq!(refusal[4], json!("wamp.error.unavailable"), "{refusal}");
    }
    calling.join().expect("all are taken");
    let peak = memory(&node, "VmHWM:");
    eprintln!("{peak} bytes at most, {before} before");
    assert!(peak < before + 16 * MIB + OVERHEAD, "{peak} after {before}");
    assert!(!node.log().contains("dropping"), "{}", node.log());
    drop((caller, callee));
    wait::until("the memory to come back", || {
        (memory(&node, "VmRSS:") < before + OVERHEAD / 4).then_some(())
    });
}

#[test]
fn calls_that_are_queued_count_for_their_caller() {
    let mut node = Node::start(&limited(8 * MIB, router()));
    let before = memory(&node, "VmRSS:");
    let mut callee = Client::join(node.address());
    // Each queue has a limit of its own, so there are many.
    for n in 0..8 {
        let request = callee.next_request();
        let procedure = format!("com.example.slow.{n}");
        callee.send(&json!([code::REGISTER, request, {"concurrency": 1}, procedure]));
        callee.expect(&json!([code::REGISTERED, request, "<any>"]));
    }
    let caller = Client::join(node.address());
    let mut stream = caller.stream().try_clone().expect("a socket can be shared");
    let text = "x".repeat(1_000_000);
    for n in 0..1_000_u64 {
        let procedure = format!("com.example.slow.{}", n % 8);
        let call = json!([code::CALL, n + 1, {}, procedure, [text]]).to_string();
        if stream.write_all(&frame(0x81, call.as_bytes())).is_err() {
            break;
        }
    }
    node.wait_for_log("memory_limit");
    let peak = memory(&node, "VmHWM:");
    assert!(peak < before + 8 * MIB + OVERHEAD, "{peak} after {before}");
    let _echo = Echo::start(node.address(), ECHO);
    let mut behaved = Client::join(node.address());
    assert_eq!(behaved.result_of(ECHO, &json!([1])), json!([1]));
}

#[test]
fn with_little_address_space_the_node_survives_unfinished_messages() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = with_little_address_space(directory.path());
    let mut config = config(&[patient_router()]);
    config["limits"] = json!({"max_connections_per_address": 0});
    let node = Node::start_program(&program, &config, &[]);
    leave_messages_unfinished(node, 500, 375 * MIB);
}

#[test]
fn a_limit_that_the_process_could_not_hold_is_logged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = with_little_address_space(directory.path());
    let mut node = Node::start_program(&program, &limited(1 << 30, router()), &[]);
    node.wait_for_log("limits.memory_limit is more than half of the bytes");
    let _echo = Echo::start(node.address(), ECHO);
}

/// The program with 1.5 GB of address space.
fn with_little_address_space(directory: &Path) -> PathBuf {
    let program = directory.join("limited");
    let node = env!("CARGO_BIN_EXE_wampgres");
    let script = format!("#!/bin/sh\nulimit -v 1500000\nexec '{node}' \"$@\"\n");
    std::fs::write(&program, script).expect("a script is written");
    make_executable(&program);
    program
}

fn make_executable(file: &Path) {
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(file, permissions).expect("a script may be run");
}
