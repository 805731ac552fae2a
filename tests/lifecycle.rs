//! How a node starts, idles and stops, seen from outside.

use std::{
    net::TcpStream,
    sync::mpsc::{RecvTimeoutError, channel},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{
    http::Connection,
    node::{HERE, Node, config, container, router},
    postgres::Postgres,
    wait,
    websocket::{ANY, Client, Received, code, hello},
};

/// Awaits the Close frame of a node that stops, and answers it; the connection ends then. No
/// GOODBYE comes before it: clients would take that for the end and not come again.
fn close(mut client: Client) {
    let (code, reason) = client.expect_close();
    assert_eq!(
        (code, &*reason),
        (CloseCode::Away, "the router is shutting down")
    );
}

/// A caller and its request, and the callee with its INVOCATION, which it has not answered.
fn call_under_way(node: &Node) -> (Client, u64, Client, Value) {
    let mut callee = Client::join(node.address());
    callee.register("com.example.slow");
    let mut caller = Client::join(node.address());
    let request = caller.call("com.example.slow", &json!([]));
    let invocation = callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, []]));
    (caller, request, callee, invocation)
}

#[test]
fn a_signal_ends_the_node_with_a_close_frame_for_every_connection() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut node = Node::start(&config(&[router()]));
        let clients = [(); 5].map(|()| Client::join(node.address()));
        let silent = Client::open(node.address());
        // This one does not answer: it is not waited for long.
        let mut mute = Client::join(node.address());
        let mut page = Connection::open(node.address());
        node.signal(signal);
        clients.into_iter().for_each(close);
        close(silent);
        page.expect_end();
        drop(page);
        assert_eq!(node.wait().code(), Some(0), "{signal}");
        node.wait_for_log("stopped");
        let last = mute.receive();
        assert!(
            matches!(last, Received::Close(Some((CloseCode::Away, _)))),
            "{last:?}"
        );
    }
}

#[test]
fn a_call_under_way_is_answered_before_the_close_and_new_ones_are_refused() {
    let mut node = Node::start(&config(&[router()]));
    let mut latecomer = Client::open(node.address());
    let (mut caller, slow, mut callee, invocation) = call_under_way(&node);
    node.signal(Signal::SIGTERM);

    wait::until("new calls to be refused", || {
        let request = caller.call("com.example.nothing", &json!([]));
        let error = caller.expect(&json!([code::ERROR, code::CALL, request, {}, ANY, [ANY]]));
        (error[4] == "wamp.error.unavailable").then_some(())
    });
    wait::until("new connections to be refused", || {
        TcpStream::connect(node.address()).is_err().then_some(())
    });
    // ABORT would keep AutobahnJS away for ever, so it may still join, and be closed with all.
    latecomer.send(&hello("realm1"));
    latecomer.expect(&json!([code::WELCOME, ANY, {}]));

    callee.send(&json!([code::YIELD, invocation[1], {}, ["late"]]));
    caller.expect(&json!([code::RESULT, slow, {}, ["late"]]));
    [caller, callee, latecomer].into_iter().for_each(close);
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn a_signal_that_comes_twice_at_once_ends_the_node_in_order() {
    // systemd's SendSIGHUP sends a SIGTERM and a SIGHUP.
    for echo in [Signal::SIGHUP, Signal::SIGTERM] {
        let mut node = Node::start(&config(&[router()]));
        let (mut caller, slow, mut callee, invocation) = call_under_way(&node);
        node.signal(Signal::SIGTERM);
        node.signal(echo);
        node.wait_for_log("stopping");
        callee.send(&json!([code::YIELD, invocation[1], {}, ["late"]]));
        caller.expect(&json!([code::RESULT, slow, {}, ["late"]]));
        close(caller);
        close(callee);
        assert_eq!(node.wait().code(), Some(0), "{echo}");
    }
}

/// Starts a node on a terminal of its own, sends it a SIGHUP, and closes the terminal.
const ON_A_TERMINAL: &str = r#"
import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
def wait_for(words):
    seen = b""
    while words not in seen:
        seen += os.read(terminal, 4096)
wait_for(b"WAMP: ws:")
os.kill(pid, signal.SIGHUP)
wait_for(b"read again")
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn a_hangup_reloads_a_node_unless_it_is_the_end_of_its_terminal() {
    let mut node = Node::start(&config(&[router()]));
    node.signal(Signal::SIGHUP);
    node.wait_for_log("SIGHUP: what can be read again is read again");
    Client::join(node.address()).leave();
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().code(), Some(0));

    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(directory.path().join("web")).expect("the page's place");
    let file = directory.path().join("config.json");
    std::fs::write(&file, config(&[router()]).to_string()).expect("a configuration");
    let mut python = std::process::Command::new("python3");
    python.args(["-c", ON_A_TERMINAL, env!("CARGO_BIN_EXE_wampgres")]);
    let ended = python.args(["start", "--config"]).arg(file).status();
    assert_eq!(ended.expect("Python").code(), Some(0));
}

#[test]
fn a_node_that_was_started_to_survive_its_terminal_does() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join("as-nohup-does");
    // Another process writes it: one that this one has open for writing, a child of another test may have, too, and
    // then it cannot be run.
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", r#"printf %s "$1" >"$0" && chmod +x "$0""#]);
    sh.arg(&program).arg(format!(
        "#!/bin/sh\ntrap '' HUP\nexec {:?} \"$@\"\n",
        env!("CARGO_BIN_EXE_wampgres")
    ));
    assert!(sh.status().expect("a shell").success());
    let mut node = Node::start_program(&program, &config(&[router()]), &[]);
    for _ in 0..10 {
        node.signal(Signal::SIGHUP);
        Client::join(node.address()).leave();
    }
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn a_second_signal_leaves_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut node = Node::start(&config(&[router()]));
        let (mut caller, _, _callee, _) = call_under_way(&node);
        node.signal(Signal::SIGTERM);
        node.wait_for_log("stopping");
        // Within a second it may be an echo of the first.
        wait::until("the end at a later signal", || {
            node.signal(signal);
            let line = std::fs::read(format!("/proc/{}/cmdline", node.pid()));
            line.expect("nobody has reaped it").is_empty().then_some(())
        });
        assert_eq!(node.wait().code(), Some(130), "{signal}");
        // It would have been answered, had the node taken its time.
        assert_eq!(caller.receive(), Received::End { orderly: false });
    }
}

#[test]
fn a_node_says_where_it_can_be_reached() {
    let mut second = router();
    second["transports"][0]["paths"]["other"] = json!({"type": "websocket"});
    let mut websocket = router();
    websocket["transports"][0] = json!({
        "type": "websocket",
        "endpoint": {"type": "tcp", "port": 0}
    });
    let file = config(&[router(), second, websocket]);
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(directory.path().join("web")).expect("a directory");
    let path = directory.path().join("config.json");
    std::fs::write(&path, file.to_string()).expect("a file");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_wampgres"))
        .arg("--config")
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let stdout = child.stdout.take().expect("stdout is piped");
    let lines: Vec<_> = std::io::BufRead::lines(std::io::BufReader::new(stdout))
        .take(3)
        .map(|line| line.expect("a line"))
        .collect();
    child.kill().expect("the node runs");
    child.wait().expect("the child is ours");
    let told = [
        "page: http://A/  WAMP: ws://A/ws",
        "page: http://A/  WAMP: ws://A/other  WAMP: ws://A/ws",
        "WAMP: ws://A/  (on all interfaces)",
    ];
    for (line, told) in lines.iter().zip(told) {
        let address = line
            .split("//")
            .nth(1)
            .and_then(|url| url.split('/').next());
        let address = address.unwrap_or_else(|| panic!("no address in {line}"));
        assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"));
        assert_eq!(line.replace(address, "A"), told);
    }
}

#[test]
fn as_many_threads_serve_connections_as_are_asked_for() {
    let node = Node::start_with(&config(&[router()]), &["--io-threads", "3"]);
    // A thread gives itself its name, once it runs.
    wait::until("three I/O threads", || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", node.pid())).expect("the node runs");
        let names = tasks.map(|task| {
            let file = task.expect("a task").path().join("comm");
            std::fs::read_to_string(file).unwrap_or_default()
        });
        (names.filter(|name| name.starts_with("io-")).count() == 3).then_some(())
    });
    // Connections are dealt in turn, so each of the threads has one.
    let mut clients: Vec<_> = (0..3).map(|_| Client::join(node.address())).collect();
    for client in &mut clients {
        client.subscribe("com.example.topic");
    }
}

#[test]
fn the_log_is_json_where_it_is_asked_for_and_plain_text_else() {
    for format in ["json", "text"] {
        let mut node = Node::start_with(&config(&[router()]), &["--log-format", format]);
        let mut client = Client::join(node.address());
        client.send_bytes(&crate::support::websocket::frame(0x83, b"\x1b[31m"));
        client.expect_close();
        node.wait_for_log("broke the protocol");
        node.signal(Signal::SIGTERM);
        assert_eq!(node.wait().code(), Some(0));
        node.wait_for_log("stopped");
        let log = node.log();
        assert!(log.lines().count() >= 3, "{log}");
        assert!(!log.contains('\x1b'), "colours are for terminals: {log}");
        for line in log.lines() {
            let parsed: Result<Value, _> = serde_json::from_str(line);
            match format {
                "json" => {
                    let entry = parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
                    assert!(entry["timestamp"].is_string(), "{line}");
                    assert!(entry["level"].is_string(), "{line}");
                    assert!(entry["fields"]["message"].is_string(), "{line}");
                }
                _ => assert!(parsed.is_err() && line.contains("INFO"), "{line}"),
            }
        }
    }
}

#[test]
fn an_idle_node_uses_no_cpu() {
    let node = Node::start(&config(&[router()]));
    let mut clients = [(); 20].map(|()| Client::join(node.address()));
    for client in &mut clients {
        client.subscribe("com.example.topic");
    }
    let (ticks, wakings) = effort_in_a_second(&node);
    assert!(ticks <= 2, "{ticks} ticks of CPU in a second of idleness");
    assert!(wakings <= 20, "{wakings} wakings in a second of idleness");
}

#[test]
fn threads_that_calls_have_kept_awake_go_to_sleep_after_them() {
    let database = Postgres::shared().create_database("awake");
    let extra = json!({"database": database.extra()});
    let component = container("hello.MyDatabaseComponent", HERE, extra);
    let node = Node::start(&config(&[router(), component]));
    let mut clients = [(); 4].map(|()| Client::join(node.address()));
    for _ in 0..50 {
        let calls = clients
            .each_mut()
            .map(|c| c.call("com.example.now.v1", &json!([])));
        for (client, call) in clients.iter_mut().zip(calls) {
            client.expect_result(call);
        }
    }
    // The pool may still be connecting; it has an end.
    wait::until("a second in which the node rests", || {
        let (ticks, wakings) = effort_in_a_second(&node);
        (ticks <= 2 && wakings <= 30).then_some(())
    });
}

#[test]
fn a_node_that_is_to_wait_asleep_sleeps_between_calls_in_quick_succession() {
    let database = Postgres::shared().create_database("asleep");
    let extra = json!({"database": database.extra()});
    let component = container("hello.MyDatabaseComponent", HERE, extra);
    let node = Node::start_with(&config(&[router(), component]), &["--wait-asleep"]);
    let mut client = Client::join(node.address());
    let mut call = || {
        let call = client.call("com.example.now.v1", &json!([]));
        client.expect_result(call);
    };
    // The first ones wait for connections.
    (0..20).for_each(|_| call());
    let before = sleeps_of_io_threads(&node);
    (0..300).for_each(|_| call());
    let sleeps = sleeps_of_io_threads(&node) - before;
    // Awake it hardly sleeps at all; asleep it does before most calls and most answers.
    assert!(sleeps >= 100, "{sleeps} sleeps in 300 calls");
}

/// What [`effort`] a node makes within a second. A loop that does not sleep uses a hundred ticks;
/// one that looks every few milliseconds uses hardly any, but wakes hundreds of times.
fn effort_in_a_second(node: &Node) -> (u64, u64) {
    let before = effort(node);
    let (keep, nothing) = channel::<()>();
    let waited = nothing.recv_timeout(Duration::from_secs(1));
    assert_eq!(waited, Err(RecvTimeoutError::Timeout));
    drop(keep);
    let after = effort(node);
    (after.0 - before.0, after.1.saturating_sub(before.1))
}

/// The CPU time of the node so far, in ticks of mostly 10 ms, and how often its threads have
/// gone to sleep.
fn effort(node: &Node) -> (u64, u64) {
    let process = format!("/proc/{}", node.pid());
    let stat = std::fs::read_to_string(format!("{process}/stat")).expect("proc(5)");
    // The name in brackets may hold blanks; utime and stime follow.
    let (_, fields) = stat.rsplit_once(") ").expect("the name is in brackets");
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks = ticks.map(|t| t.parse::<u64>().expect("a number")).sum();
    let wakings = sleeps_by_thread(node).into_iter().map(|(_, sleeps)| sleeps);
    (ticks, wakings.sum())
}

fn sleeps_of_io_threads(node: &Node) -> u64 {
    let sleeps = sleeps_by_thread(node).into_iter();
    let of_io_threads = sleeps.filter(|(name, _)| name.starts_with("io-"));
    of_io_threads.map(|(_, sleeps)| sleeps).sum()
}

/// The name of each thread of the node, and how often it has gone to sleep. Those that connect to
/// PostgreSQL or a router may end meanwhile.
fn sleeps_by_thread(node: &Node) -> Vec<(String, u64)> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", node.pid())).expect("proc(5)");
    let sleeps = threads.filter_map(|thread| {
        let status = thread.expect("a thread").path().join("status");
        let status = std::fs::read_to_string(status).ok()?;
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
        let count = field("voluntary_ctxt_switches:").expect("proc(5)").trim();
        let name = field("Name:").expect("proc(5)").trim().to_owned();
        Some((name, count.parse().expect("a number")))
    });
    sleeps.collect()
}
