//! Real Autobahn clients, each a process of its own. How they are talked to is described in
//! `tests/clients/autobahn_py.py`.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

use serde_json::{Value, json};

use super::wait;

/// Which Autobahn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autobahn {
    /// AutobahnJS under node.
    Js,
    /// AutobahnPython on asyncio.
    Python,
}

/// Both.
pub const BOTH: [Autobahn; 2] = [Autobahn::Js, Autobahn::Python];

impl Autobahn {
    fn command(self) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let clients = root.join("target/test-clients");
        let (program, library, script): (PathBuf, PathBuf, &str) = match self {
            Self::Js => (
                "node".into(),
                clients.join("node_modules/autobahn"),
                "tests/clients/autobahn_js.js",
            ),
            Self::Python => (
                clients.join("venv/bin/python"),
                clients.join("venv/bin/python"),
                "tests/clients/autobahn_py.py",
            ),
        };
        assert!(
            library.exists(),
            "{self:?}: {} is missing: scripts/test installs it",
            library.display()
        );
        let mut command = Command::new(program);
        command.arg(root.join(script));
        command
    }
}

/// A client process. Dropped, it is killed.
pub struct Client {
    kind: Autobahn,
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// What was read while something else was waited for.
    unread: VecDeque<Value>,
}

impl Client {
    /// A client that tries to join. Its first answer says how that went.
    pub fn connect(kind: Autobahn, url: &str, realm: &str) -> Self {
        Self::spawn(kind.command(), kind, url, realm)
    }

    /// A client that has joined `realm1` and was run by `through`, a command that runs another.
    pub fn join_through(mut through: Command, kind: Autobahn, url: &str) -> Self {
        let command = kind.command();
        through.arg(command.get_program()).args(command.get_args());
        let mut client = Self::spawn(through, kind, url, "realm1");
        client.expect("joined");
        client
    }

    fn spawn(mut command: Command, kind: Autobahn, url: &str, realm: &str) -> Self {
        command.args([url, realm]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // What AutobahnJS prints of a closed connection would drown the tests' own words.
        command.stderr(Stdio::null());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?}: {error}: scripts/test installs it"));
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            kind,
            stdin: child.stdin.take().expect("stdin is piped"),
            child,
            lines,
            unread: VecDeque::new(),
        }
    }

    /// A client that has joined `realm1`.
    pub fn join(kind: Autobahn, url: &str) -> Self {
        let mut client = Self::connect(kind, url, "realm1");
        client.expect("joined");
        client
    }

    /// Sends a command.
    pub fn send(&mut self, command: Value) {
        writeln!(self.stdin, "{command}").expect("the client reads its commands");
    }

    /// The next answer.
    pub fn answer(&mut self) -> Value {
        self.next("an answer", |line| !is_aside(line))
    }

    /// The next answer, which has to be of this kind; what it says.
    pub fn expect(&mut self, key: &str) -> Value {
        let mut answer = self.answer();
        assert!(
            answer.get(key).is_some(),
            "{:?}: not {key:?} but {answer}",
            self.kind
        );
        answer[key].take()
    }

    /// The next event or invocation, which has to be of this kind; what it says.
    pub fn expect_aside(&mut self, key: &str) -> Value {
        let mut aside = self.next(key, is_aside);
        assert!(
            aside.get(key).is_some(),
            "{:?}: not {key:?} but {aside}",
            self.kind
        );
        aside[key].take()
    }

    fn next(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(place) = self.unread.iter().position(&wanted) {
            return self.unread.remove(place).expect("it was just found");
        }
        loop {
            let line = self.lines.recv_timeout(wait::PATIENCE);
            let line = line.unwrap_or_else(|e| panic!("{:?}: no {what:?}: {e}", self.kind));
            let line = serde_json::from_str(&line).expect("clients speak JSON");
            if wanted(&line) {
                return line;
            }
            self.unread.push_back(line);
        }
    }

    /// Calls and gives the result: `{"args": …, "kwargs": …}`.
    pub fn call(&mut self, procedure: &str, args: Value, kwargs: Value) -> Value {
        self.send(json!({"op": "call", "procedure": procedure, "args": args, "kwargs": kwargs}));
        self.expect("result")
    }

    /// Calls without arguments and gives the one value of the result.
    pub fn value(&mut self, procedure: &str) -> Value {
        self.call(procedure, json!([]), json!({}))["args"][0].clone()
    }

    /// Calls what fails and gives the error: `{"uri": …, "args": …, "kwargs": …}`.
    pub fn call_error(&mut self, procedure: &str, args: Value, kwargs: Value) -> Value {
        self.send(json!({"op": "call", "procedure": procedure, "args": args, "kwargs": kwargs}));
        self.expect("error")
    }

    /// Registers a procedure of this behaviour.
    pub fn register(&mut self, procedure: &str, behaviour: &str) {
        self.send(json!({"op": "register", "procedure": procedure, "behaviour": behaviour}));
        self.expect("registered");
    }

    /// Subscribes to a topic.
    pub fn subscribe(&mut self, topic: &str) {
        self.send(json!({"op": "subscribe", "topic": topic}));
        self.expect("subscribed");
    }

    /// Waits for the process's end and gives its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let ended = || self.child.try_wait().expect("the child is ours");
        wait::until("the client's end", ended).code()
    }

    /// Kills the process (SIGKILL).
    pub fn kill(&mut self) {
        self.child.kill().expect("the child is ours");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a line is no answer to a command: events and invocations come between those.
fn is_aside(line: &Value) -> bool {
    line.get("event").is_some() || line.get("invoked").is_some()
}
