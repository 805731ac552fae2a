//! Clients whose network is gone, with all that they would have said. The node and its clients
//! have a network of their own for that, which the test can switch off.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::support::{
    autobahn::{Autobahn, Client},
    node::{Node, config, router, router_with},
};

const TIMED_OUT: &str = "took nothing of what it was sent, within peer_timeout";

/// A node on the loopback interface of a network namespace.
struct Isolated {
    node: Node,
}

impl Isolated {
    fn start(mut router: serde_json::Value, peer_timeout: u64) -> Self {
        router["transports"][0]["endpoint"]["peer_timeout"] = json!(peer_timeout);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let program = directory.path().join("in-a-network-of-its-own");
        let script = format!(
            "#!/bin/sh\nPATH=$PATH:/usr/sbin:/sbin\nexec unshare --user --map-root-user --net \
             sh -c 'ip link set lo up && exec \"$0\" \"$@\"' {:?} \"$@\"\n",
            env!("CARGO_BIN_EXE_wampgres")
        );
        write_program(&program, &script);
        let node = Node::start_program(&program, &config(&[router]), &[]);
        Self { node }
    }

    /// A command that runs in the node's network.
    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.node.pid().to_string()]);
        command.args(["--user", "--net", "--preserve-credentials", "--"]);
        command
    }

    fn join(&self) -> Client {
        Client::join_through(self.command(), Autobahn::Js, &self.node.websocket_url())
    }

    /// Brings the network up or takes it down: what is sent goes nowhere then, and nobody is told.
    fn set_network(&self, state: &str) {
        let mut command = self.command();
        command.args(["env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        command.args(["ip", "link", "set", "lo", state]);
        let status = command.stdin(Stdio::null()).status();
        assert!(status.expect("nsenter runs").success(), "lo {state}");
    }

    /// Takes the network from a callee, and waits until its procedure is free for another.
    fn lose_a_callee(mut self, why: &str) {
        let mut lost = self.join();
        lost.register("com.example.procedure", "echo");
        self.set_network("down");
        self.node.wait_for_log(why);
        lost.kill();
        self.set_network("up");
        let mut next = self.join();
        next.register("com.example.procedure", "echo");
        let result = next.call("com.example.procedure", json!([1]), json!({}));
        assert_eq!(result["args"], json!([1]));
    }
}

/// Another process writes it: one that this one has open for writing, a child of another test may
/// have, too, and then it cannot be run.
fn write_program(program: &Path, text: &str) {
    let mut sh = Command::new("sh");
    sh.args(["-c", r#"printf %s "$1" >"$0""#])
        .arg(program)
        .arg(text);
    assert!(sh.status().expect("a shell").success());
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(program, executable).expect("it is ours");
}

#[test]
fn a_client_whose_network_is_gone_loses_its_procedures() {
    let node = Isolated::start(router(), 2000);
    node.lose_a_callee(TIMED_OUT);
}

#[test]
fn pings_notice_a_client_that_is_gone_where_the_system_is_not_to() {
    let options = json!({"auto_ping_interval": 1000, "auto_ping_timeout": 2000});
    let node = Isolated::start(router_with(options), 0);
    node.lose_a_callee("dropping a client that answers no ping");
}

#[test]
fn what_is_sent_to_a_client_that_is_gone_is_noticed_as_well() {
    // Pings without a timeout are answered by nobody, and keep keepalive from asking.
    let options = json!({"auto_ping_interval": 1000});
    let node = Isolated::start(router_with(options), 3000);
    node.lose_a_callee(TIMED_OUT);
}
