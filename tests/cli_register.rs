//! `wampgres register --exec`: a program that answers calls, what it is given, what becomes of what it
//! writes, and how it ends.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    cli::{Cli, run},
    node::{Node, config, router},
    wait,
    websocket::{Client, code},
};

const URI: &str = "com.example.program";

/// A node, and a program that is the text of a script.
struct Bench {
    node: Node,
    directory: TempDir,
    program: PathBuf,
}

impl Bench {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join("program");
        fs::write(
            &program,
            format!("#!/bin/sh\ncd {}\n{script}", directory.path().display()),
        )
        .expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it can be run");
        Self {
            node: Node::start(&config(&[router()])),
            directory,
            program,
        }
    }

    fn register(&self, args: &[&str]) -> Cli {
        let program = self.program.to_str().expect("a path");
        let mut all = vec![URI, "--exec", program];
        all.extend(args);
        let mut callee = Cli::start_at(self.node.address(), "register", &all);
        callee.expect_on_stderr("registered com.example.program");
        callee
    }

    fn call(&self, args: &Value) -> Result<Value, Value> {
        let mut client = Client::join(self.node.address());
        let request = client.call(URI, args);
        let answer = client.message();
        match answer[0].as_u64() {
            Some(code::RESULT) => Ok(answer.get(3).cloned().unwrap_or_default()),
            _ => {
                assert_eq!(answer[2], json!(request), "{answer}");
                Err(json!([answer[4], answer[5], answer[6]]))
            }
        }
    }

    /// Waits until a file is there that the script has made.
    fn wait_for(&self, name: &str) -> String {
        let file = self.directory.path().join(name);
        wait::until(name, || {
            fs::read_to_string(&file)
                .ok()
                .filter(|text| text.ends_with('\n'))
        })
    }
}

#[test]
fn a_program_gets_the_call_and_its_output_is_the_result() {
    let bench = Bench::new("cat");
    let mut callee = bench.register(&[]);
    let args = ["1", "tea", "-k", "a=2"];
    let mut words = vec![URI];
    words.extend(args);
    let value = run(bench.node.address(), "call", &words).value();
    let expected = json!({"procedure": URI, "args": [1, "tea"], "kwargs": {"a": 2}, "details": {}});
    assert_eq!(value, expected);
    // More than a pipe holds, both ways.
    let large = "x".repeat(1 << 20);
    let result = bench.call(&json!([large])).expect("a result");
    assert_eq!(result[0]["args"], json!([large]));
    callee.signal(Signal::SIGTERM);
    assert_eq!(callee.wait(), Some(0));
    let error = bench.call(&json!([])).expect_err("nobody is registered");
    assert_eq!(error[0], "wamp.error.no_such_procedure");
}

#[test]
fn what_is_no_json_is_a_string_and_nothing_is_nothing() {
    // The first argument is what it writes.
    let bench = Bench::new("sed -n 's/.*\"args\":\\[\"\\(.*\\)\"\\],\"kwargs.*/\\1/p'");
    let _callee = bench.register(&[]);
    for (word, result) in [("3.50", json!([3.50])), ("some tea", json!(["some tea"]))] {
        assert_eq!(bench.call(&json!([word])), Ok(result));
    }
    assert_eq!(
        bench.call(&json!([""])),
        Ok(json!(null)),
        "without arguments"
    );
}

#[test]
fn arguments_of_the_program_are_its_own_and_those_of_calls_are_not_among_them() {
    let bench = Bench::new(
        "cat > call.json; echo \"$*\"; tr '\\0' ' ' < /proc/$$/cmdline > cmdline; echo >> cmdline",
    );
    let _callee = bench.register(&["--", "--own", "argument"]);
    let result = bench.call(&json!(["the secret"]));
    assert_eq!(result, Ok(json!(["--own argument"])));
    assert!(!bench.wait_for("cmdline").contains("secret"));
}

#[test]
fn a_program_that_fails_is_an_error_with_its_last_words() {
    let bench = Bench::new("echo first >&2; echo 'no tea' >&2; echo >&2; echo ignored; exit 7");
    let mut callee = bench.register(&[]);
    let error = bench.call(&json!([])).expect_err("it fails");
    assert_eq!(
        error,
        json!(["wamp.error.runtime_error", ["no tea"], {"exit_status": 7}])
    );
    callee.expect_on_stderr("no tea");

    let bench = Bench::new("exit 7");
    let _callee = bench.register(&[]);
    let error = bench.call(&json!([])).expect_err("it fails");
    let message = json!(["program has ended with exit status 7"]);
    assert_eq!(
        (&error[0], &error[1]),
        (&json!("wamp.error.runtime_error"), &message)
    );

    let own = r#"{"error": "com.example.error.sold_out", "args": ["tea"], "kwargs": {"left": 0}}"#;
    let bench = Bench::new(&format!("echo '{own}' >&2; exit 1"));
    let _callee = bench.register(&[]);
    let error = bench.call(&json!([])).expect_err("it fails");
    assert_eq!(
        error,
        json!(["com.example.error.sold_out", ["tea"], {"left": 0}])
    );

    let bench = Bench::new("kill -9 $$");
    let _callee = bench.register(&[]);
    let error = bench.call(&json!([])).expect_err("it fails");
    assert_eq!(
        (&error[1][0], &error[2]),
        (
            &json!("program has ended with signal 9"),
            &json!({"signal": 9})
        )
    );

    let bench = Bench::new("exec cat /dev/zero");
    let _callee = bench.register(&[]);
    let error = bench.call(&json!([])).expect_err("it has no end");
    assert_eq!(error[0], "wamp.error.payload_size_exceeded");
}

#[test]
fn no_more_programs_run_at_once_than_are_to() {
    // Each makes a file while it runs, and says how many there were.
    let bench = Bench::new(
        "touch run.$$; ls run.* | wc -l; while [ ! -e go ]; do sleep 0.01; done; rm run.$$",
    );
    let _callee = bench.register(&["--concurrency", "2"]);
    let mut client = Client::join(bench.node.address());
    for _ in 0..5 {
        client.call(URI, &json!([]));
    }
    let running = || {
        let entries = fs::read_dir(bench.directory.path()).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("run."))
            .count()
    };
    wait::until("two programs", || (running() == 2).then_some(()));
    fs::write(bench.directory.path().join("go"), "").expect("a file");
    for _ in 0..5 {
        let most = client.answer().result().as_u64().expect("a number");
        assert!(most <= 2, "{most}");
    }
}

/// A script that runs until it is killed or told to end, and a child of it that would stay.
const STUBBORN: &str = "trap 'echo terminated > term' TERM
(trap '' TERM; while :; do sleep 0.05; done) & echo $! > child
echo began > began; while [ ! -e term ]; do sleep 0.01; done; echo done";

fn is_gone(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    status.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_program_whose_call_is_canceled_is_ended_with_all_that_it_has_started() {
    let bench = Bench::new(STUBBORN);
    let _callee = bench.register(&[]);
    let mut client = Client::join(bench.node.address());
    let request = client.call(URI, &json!([]));
    bench.wait_for("began");
    client.cancel(request, Some("kill"));
    let error = client.answer_to(request).error("wamp.error.canceled");
    assert_eq!(error.message, "program was ended: the call is canceled");
    assert_eq!(bench.wait_for("term"), "terminated\n");
    let child = bench.wait_for("child");
    wait::until("the end of its child", || is_gone(&child).then_some(()));
}

#[test]
fn a_program_that_takes_too_long_is_ended() {
    let bench = Bench::new("trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done");
    let _callee = bench.register(&["--timeout", "0.2"]);
    let error = bench.call(&json!([])).expect_err("it takes too long");
    assert_eq!(error[0], "wamp.error.timeout");
    assert!(is_gone(&bench.wait_for("pid")), "it does not heed SIGTERM");
}

#[test]
fn after_a_signal_programs_may_end_and_their_callers_are_answered() {
    let bench = Bench::new("echo began > began; while [ ! -e go ]; do sleep 0.01; done; echo done");
    let mut callee = bench.register(&[]);
    let mut client = Client::join(bench.node.address());
    let request = client.call(URI, &json!([]));
    bench.wait_for("began");
    callee.signal(Signal::SIGINT);
    let gone = || {
        let mut other = Client::join(bench.node.address());
        let call = other.call(URI, &json!([]));
        let answer = other.answer_to(call);
        answer
            .outcome
            .is_err_and(|error| error.uri == "wamp.error.no_such_procedure")
            .then_some(())
    };
    wait::until("the end of the registration", gone);
    fs::write(bench.directory.path().join("go"), "").expect("a file");
    assert_eq!(client.expect_result(request), json!("done"));
    assert_eq!(callee.wait(), Some(0));

    let bench = Bench::new(STUBBORN);
    let mut callee = bench.register(&["--stop-timeout", "0.1"]);
    let mut client = Client::join(bench.node.address());
    let request = client.call(URI, &json!([]));
    bench.wait_for("began");
    callee.signal(Signal::SIGINT);
    client.answer_to(request).error("wamp.error.canceled");
    assert_eq!(callee.wait(), Some(0));
}

#[test]
fn a_callee_ends_when_its_session_does_and_takes_its_programs_along() {
    let bench = Bench::new(STUBBORN);
    let callee = bench.register(&[]);
    let mut client = Client::join(bench.node.address());
    client.call(URI, &json!([]));
    bench.wait_for("began");
    bench.node.signal(Signal::SIGKILL);
    callee
        .finish()
        .assert_fails(1, "wampgres register: the session has ended");
    assert!(is_gone(&bench.wait_for("child")));
}

#[test]
fn what_cannot_be_registered_is_said_at_once() {
    let node = Node::start(&config(&[router()]));
    let none = run(
        node.address(),
        "register",
        &[URI, "--exec", "no-such-program-at-all"],
    );
    none.assert_fails(2, "--exec: there is no program no-such-program-at-all");
    let refused = run(
        node.address(),
        "register",
        &["org.example.p", "--exec", "cat"],
    );
    refused.assert_fails(3, "wampgres register: wamp.error.not_authorized");
    let mut holder = Client::join(node.address());
    holder.register(URI);
    let taken = run(node.address(), "register", &[URI, "--exec", "cat"]);
    taken.assert_fails(3, "wamp.error.procedure_already_exists");
}
