//! Clients whose node is started again: each connects, joins and registers again by the means it
//! has, after a planned stop as after a kill. What they run is in `tests/clients/returning.*`.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    browser::Browser,
    node::{Node, config, router},
    port,
    wait::{self, PATIENCE},
    websocket::Client,
};

/// AutobahnPython's ways to be a client, each on asyncio and on Twisted.
const PYTHON: [&str; 4] = [
    "asyncio_component",
    "asyncio_runner",
    "twisted_component",
    "twisted_runner",
];
const JAVASCRIPT: [&str; 2] = ["autobahn_js", "wampy_js"];

/// What a page has to do to come again: `max_retries: -1`, and nothing else.
const PAGE: &str = r#"<!DOCTYPE html>
<script src="shared/autobahn.min.js"></script>
<script>
  var joined = 0;
  const connection = new autobahn.Connection({
    url: `ws://${location.host}/ws`, realm: "realm1",
    max_retries: -1, initial_retry_delay: 0.2, max_retry_delay: 1,
  });
  connection.onopen = (session) =>
    session.register("com.example.page", ([value]) => value).then(() => joined++);
  connection.open();
</script>
"#;

/// A node on this port, with the page in its place.
fn start(port: u16) -> Node {
    let mut router = router();
    let transport = &mut router["transports"][0];
    transport["endpoint"]["port"] = json!(port);
    transport["paths"]["shared"] = json!({"type": "static", "directory": "web/shared"});
    let node = Node::start(&config(&[router]));
    let web = node.directory().join("web");
    fs::write(web.join("index.htm"), PAGE).expect("the page is written");
    let library = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/test-clients/node_modules/autobahn-browser/autobahn.min.js");
    fs::copy(library, web.join("shared/autobahn.min.js"))
        .expect("AutobahnJS is there: scripts/test installs it");
    node
}

/// A client process. Dropped, it is killed.
struct Returning {
    kind: &'static str,
    child: Child,
    lines: Receiver<String>,
}

impl Returning {
    fn start(kind: &'static str, url: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (program, script) = if PYTHON.contains(&kind) {
            (
                root.join("target/test-clients/venv/bin/python"),
                "tests/clients/returning.py",
            )
        } else {
            ("node".into(), "tests/clients/returning.js")
        };
        let mut child = Command::new(program)
            .arg(root.join(script))
            .args([kind, url, "realm1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{kind}: {error}: scripts/test installs it"));
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if line.starts_with('{') && send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { kind, child, lines }
    }

    fn wait_until_joined(&self) {
        let line = self.lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|e| panic!("{} does not join: {e}", self.kind));
        let line: Value = serde_json::from_str(&line).expect("clients speak JSON");
        assert_eq!(line, json!({"joined": self.kind}));
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everybody has joined for the `nth` time, and answers.
fn assert_all_serve(node: &Node, nth: usize, clients: &[Returning], page: &mut Browser) {
    clients.iter().for_each(Returning::wait_until_joined);
    page.wait_for(&format!("joined === {nth}"));
    let mut caller = Client::join(node.address());
    for kind in clients.iter().map(|client| client.kind).chain(["page"]) {
        let procedure = format!("com.example.{kind}");
        // Wampy.js says that it has joined before it has registered again.
        wait::until(&procedure, || {
            let request = caller.call(&procedure, &json!([nth]));
            let answer = caller.answer_to(request).outcome;
            answer
                .ok()
                .map(|result| assert_eq!(result, json!(nth), "{kind}"))
        });
    }
}

#[test]
fn every_client_comes_again_after_a_planned_stop_as_after_a_kill() {
    let port = port::reserved();
    let mut node = start(port.number());
    let url = node.websocket_url();
    let kinds = PYTHON.into_iter().chain(JAVASCRIPT);
    let clients: Vec<_> = kinds.map(|kind| Returning::start(kind, &url)).collect();
    let mut page = Browser::open(&format!("http://{}/", node.address()));
    assert_all_serve(&node, 1, &clients, &mut page);

    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().code(), Some(0));
    let node = start(port.number());
    assert_all_serve(&node, 2, &clients, &mut page);

    // Dropped, it is killed (SIGKILL).
    drop(node);
    let node = start(port.number());
    assert_all_serve(&node, 3, &clients, &mut page);
}
