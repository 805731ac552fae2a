//! How the generator waits for answers, and that it says so.

use std::process::Child;

use super::{finish, number, spawn};
use crate::support::{
    node::{Node, config, router},
    wait,
    websocket::Echo,
};

/// How often the generator's thread has gone to sleep; `None` where it is not there.
fn sleeps(bench: &Child) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", bench.id())).ok()?;
    let of = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("status")).ok())
        .find(|status| of(status, "Name:").as_deref() == Some("bench"))
        .and_then(|status| of(&status, "voluntary_ctxt_switches:")?.parse().ok())
}

#[test]
fn the_generator_sleeps_between_calls_as_a_client_does_unless_told_otherwise() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let args = "--procedure com.example.echo --duration 1 --warmup 0";
    let mut bench = spawn(&directory, node.address(), args);
    let mut seen = 0;
    wait::until("the end of the bench", || {
        seen = sleeps(&bench).map_or(seen, |sleeps| seen.max(sleeps));
        bench.try_wait().expect("the child is ours")
    });
    let outcome = finish(bench, directory);
    let figures = outcome.figures();
    assert_eq!(figures["wait"], "asleep");
    // Awake it hardly sleeps at all; asleep it does before most answers.
    let calls = number(&figures, "operations");
    assert!(seen as f64 > calls / 3.0, "{seen} sleeps in {calls} calls");
    let words = "waited    asleep, as most clients do\n";
    assert!(outcome.stdout.contains(words), "{}", outcome.stdout);
}

#[test]
fn a_generator_that_waits_awake_says_what_a_client_sees() {
    let node = Node::start(&config(&[router()]));
    let outcome = super::bench(node.address(), "--mode echo --calls 100 --wait awake");
    assert_eq!(outcome.figures()["wait"], "awake");
    let words = "waited    awake; a client that sleeps sees less (--wait asleep)\n";
    assert!(outcome.stdout.contains(words), "{}", outcome.stdout);
}
