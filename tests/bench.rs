//! `wampgres bench`: what it counts, measures, writes and shows. What it makes of routers that
//! answer wrongly stands beside.

mod waiting;
mod wrong;

use std::{
    io::Read,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    fake_router::{self, say},
    node::{HERE, Node, config, container, router},
    postgres::Postgres,
    wait,
    websocket::{Echo, code},
};

/// What became of a run.
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    directory: TempDir,
}

impl Outcome {
    /// The figures of a run that came to its end.
    fn figures(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(self.stderr, "", "there is no terminal to draw on");
        self.json()
    }

    fn json(&self) -> Value {
        let json = std::fs::read(self.directory.path().join("figures.json"));
        serde_json::from_slice(&json.expect("the JSON is written")).expect("and is JSON")
    }

    fn plot(&self) -> String {
        let plot = std::fs::read_to_string(self.directory.path().join("plot.svg"));
        plot.expect("the plot is drawn")
    }

    /// Asserts that the run failed and said so in these words.
    fn assert_fails(&self, words: &str) {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(words), "{words:?} in {}", self.stderr);
        assert_eq!(self.stdout, "", "figures of such a router mean nothing");
    }
}

fn bench(address: SocketAddr, args: &str) -> Outcome {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let child = spawn(&directory, address, args);
    finish(child, directory)
}

fn spawn(directory: &TempDir, address: SocketAddr, args: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_wampgres"))
        .args(["bench", "--url", &format!("ws://{address}/ws")])
        .args(["--json", "figures.json", "--plot", "plot.svg"])
        .args(args.split(' '))
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs")
}

fn finish(mut child: Child, directory: TempDir) -> Outcome {
    let status = wait::until("the end of the bench", || {
        child.try_wait().expect("the child is ours")
    });
    let (mut stdout, mut stderr) = (String::new(), String::new());
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut stdout).expect("text on stdout");
    }
    let read = (child.stderr.take().expect("stderr is piped")).read_to_string(&mut stderr);
    read.expect("text on stderr");
    Outcome {
        code: status.code(),
        stdout,
        stderr,
        directory,
    }
}

fn number(figures: &Value, name: &str) -> f64 {
    figures[name]
        .as_f64()
        .unwrap_or_else(|| panic!("a number {name} in {figures}"))
}

#[test]
fn as_many_calls_as_asked_for_are_made_measured_and_drawn() {
    let node = Node::start(&config(&[router()]));
    let _echo = Echo::start(node.address(), "com.example.echo");
    let outcome = bench(
        node.address(),
        "--procedure com.example.echo --args [1,\"two\"] --connections 7 --inflight 3 --calls 1000",
    );
    let figures = outcome.figures();
    assert_eq!(figures["mode"], "call");
    assert_eq!(figures["operations"], 1000);
    assert_eq!(figures["errors"], json!({}));
    let spans: Vec<u64> = serde_json::from_value(figures["throughput"].clone()).expect("spans");
    assert_eq!(spans.iter().sum::<u64>(), 1000, "{spans:?}");
    let rate = 1000.0 / number(&figures, "seconds");
    assert!((number(&figures, "per_second") - rate).abs() < 1.0);
    // `[50,1,{},[1,"two"]]` in a frame, and a CALL, are no shorter than this.
    assert!(number(&figures, "bytes_in") >= 1000.0 * 20.0);
    assert!(number(&figures, "bytes_out") >= 1000.0 * 40.0);
    let latency = &figures["latency_us"];
    let steps = ["min", "p50", "p90", "p99", "p999", "max"].map(|name| number(latency, name));
    assert!(steps[0] > 0.0 && steps.is_sorted(), "{latency}");

    for words in [
        "calls     1000 in ",
        "calls/s",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
    ] {
        assert!(
            outcome.stdout.contains(words),
            "{words} in {}",
            outcome.stdout
        );
    }
    let plot = outcome.plot();
    assert!(plot.starts_with("<svg ") && plot.trim_end().ends_with("</svg>"));
    assert_says(&plot, "com.example.echo: 7 connections, 3 in flight: ");
    let captions = ["Latency by percentile", "Throughput over time"];
    let axes = ["percentile", "99.9 %", "latency", "seconds", "calls/s"];
    for words in captions.iter().chain(&axes) {
        assert_says(&plot, words);
    }
    // Of the colour that nothing but the data has: a line, or a dot for a single point.
    let data: Vec<&str> = (plot.lines())
        .filter(|line| line.contains("\"#0066CC\""))
        .collect();
    assert_eq!(data.len(), 2, "{plot}");
    for shape in data {
        let points = shape.split_once("points=\"").map(|(_, points)| points);
        let many = points.is_some_and(|points| points.matches(',').count() > 1);
        assert!(many || shape.starts_with("<circle "), "{shape}");
    }
    assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
}

/// Asserts that a text of the picture begins with these words.
fn assert_says(plot: &str, words: &str) {
    let mut texts = plot.split("<text ").skip(1);
    let is_there = texts.any(|text| {
        let content = text.split_once('>').map_or("", |(_, content)| content);
        content.trim_start().starts_with(words)
    });
    assert!(is_there, "{words} in {plot}");
}

#[test]
fn the_database_component_is_measured_for_a_time() {
    let extra = json!({"database": Postgres::shared().database().extra()});
    let component = container("hello.MyDatabaseComponent", HERE, extra);
    let node = Node::start(&config(&[router(), component]));
    let outcome = bench(
        node.address(),
        "--connections 5 --duration 0.5 --warmup 0.1",
    );
    let figures = outcome.figures();
    assert_eq!(figures["uri"], "com.example.now.v1");
    assert_eq!(figures["errors"], json!({}));
    assert!(number(&figures, "operations") > 0.0);
    let seconds = number(&figures, "seconds");
    assert!((0.4..10.0).contains(&seconds), "{seconds}");
}

#[test]
fn echo_events_and_joins_are_all_counted() {
    let node = Node::start(&config(&[router()]));
    for (args, operations) in [
        ("--mode echo --connections 3 --inflight 4 --calls 500", 500),
        (
            "--mode echo --connections 2 --calls 10 --args [{\"b\":1,\"a\":[]},\"ä\"]",
            10,
        ),
        (
            "--mode pubsub --connections 20 --inflight 5 --calls 50",
            1000,
        ),
        (
            "--mode pubsub --connections 3 --calls 7 --args [\"text\"]",
            21,
        ),
        ("--mode pubsub --connections 2 --rate 100 --calls 10", 20),
        ("--mode connect --connections 300 --duration 0", 300),
    ] {
        let outcome = bench(node.address(), args);
        assert_eq!(outcome.figures()["operations"], operations, "{args}");
    }
    let sessions = bench(node.address(), "--mode connect --duration 0");
    let figures = sessions.figures();
    assert_eq!(figures["operations"], 1, "one if nothing is said");
    for of_calls in ["uri", "inflight", "rate"] {
        assert_eq!(figures[of_calls], Value::Null, "{of_calls}");
    }
    assert_says(&sessions.plot(), "sessions joining: 1 connections: ");
}

#[test]
fn a_rate_is_kept_and_calls_beyond_the_warm_up_are_counted() {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = calls.clone();
    let address = fake_router::start(move |from, message| {
        counter.fetch_add(1, Ordering::Relaxed);
        say(from, json!([code::RESULT, message[1], {}]))
    });
    let figures = bench(
        address,
        "--rate 200 --connections 3 --duration 1 --warmup 0.5",
    )
    .figures();
    assert_eq!(figures["operations"], 200);
    assert_eq!(calls.swap(0, Ordering::Relaxed), 300);
    let figures = bench(address, "--rate 1000 --connections 2 --calls 25").figures();
    assert_eq!(figures["operations"], 25);
    assert_eq!(calls.swap(0, Ordering::Relaxed), 25);
    bench(address, "--connections 2 --inflight 4 --calls 25").figures();
    assert_eq!(calls.swap(0, Ordering::Relaxed), 25);
}

#[test]
fn latency_counts_from_when_a_call_was_due() {
    // It answers nothing until 50 calls have come, which at 100 a second takes half a second.
    let mut waiting = Vec::new();
    let address = fake_router::start(move |from, message| {
        waiting.push(json!([code::RESULT, message[1], {}]));
        if waiting.len() < 50 {
            return Vec::new();
        }
        waiting
            .drain(..)
            .flat_map(|answer| say(from, answer))
            .collect()
    });
    let figures = bench(address, "--rate 100 --calls 50").figures();
    assert_eq!(figures["operations"], 50);
    let latency = &figures["latency_us"];
    assert!(number(latency, "max") >= 480_000.0, "{latency}");
    assert!(number(latency, "p50") >= 230_000.0, "{latency}");
    let lateness = &figures["lateness_us"];
    assert!(number(lateness, "p50") < 230_000.0, "{lateness}");
}

#[test]
fn an_open_load_beyond_the_router_ends_before_it_fills_the_memory() {
    let silent = || fake_router::start(|_, _| Vec::new());
    let behind = "the router is 100000 answers behind: it cannot do as many a second; lower --rate";
    bench(silent(), "--rate 1000000 --connections 4").assert_fails(behind);
    bench(silent(), "--rate 1000000 --calls 20 --timeout 0.2")
        .assert_fails("20 answers are missing");
}

#[test]
fn errors_are_counted_by_their_uri_and_fail_nothing() {
    // Nor does it matter for how long they come when one call has succeeded.
    let outcome = bench(erring(1), "--rate 10 --calls 25 --timeout 2");
    let figures = outcome.figures();
    assert_eq!(figures["operations"], 1);
    let errors = json!({"com.example.bad": {"count": 24, "message": "no luck 1"}});
    assert_eq!(figures["errors"], errors);
    let node = Node::start(&config(&[router()]));
    for (mode, request) in [("pubsub", "SUBSCRIBE"), ("echo", "REGISTER")] {
        let args = format!("--mode {mode} --procedure org.elsewhere --calls 5");
        let words = format!("{request} failed with wamp.error.not_authorized");
        bench(node.address(), &args).assert_fails(&words);
    }
}

/// Answers the first calls rightly and all others with errors.
fn erring(mut right_ones: usize) -> SocketAddr {
    let mut errors = 0;
    fake_router::start(move |from, message| {
        if right_ones > 0 {
            right_ones -= 1;
            return say(from, right(message));
        }
        errors += 1;
        let (call, args) = (code::CALL, [format!("no luck {errors}")]);
        say(
            from,
            json!([code::ERROR, call, message[1], {}, "com.example.bad", args]),
        )
    })
}

#[test]
fn a_run_without_any_success_shows_its_errors_and_fails() {
    let outcome = bench(erring(0), "--calls 5");
    assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
    assert_eq!(
        outcome.stderr,
        "wampgres bench: no call succeeded: 5 answered with an error, the first with \
         com.example.bad: no luck 1\n"
    );
    for line in ["latency   -", "errors    5 com.example.bad: no luck 1"] {
        assert!(
            outcome.stdout.lines().any(|seen| seen == line),
            "{}",
            outcome.stdout
        );
    }
    let figures = outcome.json();
    assert_eq!(figures["operations"], 0);
    assert_eq!(figures["latency_us"], Value::Null);
    let errors = json!({"com.example.bad": {"count": 5, "message": "no luck 1"}});
    assert_eq!(figures["errors"], errors);

    let endless = bench(erring(0), "--rate 100 --calls 100000 --timeout 2");
    endless.assert_fails("given up after 2s: no call succeeded: ");
    endless.assert_fails("the first with com.example.bad: no luck 1");
    // The errors of the warm-up alone, when nothing begins after it, are errors too.
    let late = bench(erring(0), "--rate 100 --warmup 0.1 --duration 0");
    assert_eq!(late.code, Some(1), "{}", late.stdout);
}

/// The right answer to a request.
fn right(message: &Value) -> Value {
    let request = &message[1];
    match message[0].as_u64() {
        Some(code::CALL) => json!([code::RESULT, request, {}]),
        Some(code::SUBSCRIBE) => json!([code::SUBSCRIBED, request, 7]),
        Some(code::REGISTER) => json!([code::REGISTERED, request, 7]),
        Some(code::PUBLISH) => json!([code::PUBLISHED, request, 7]),
        _ => panic!("unexpected: {message}"),
    }
}

/// What a run shows on a terminal.
fn seen(address: SocketAddr, args: &str) -> String {
    let bench = format!(
        "{} bench --url ws://{address}/ws {args}",
        env!("CARGO_BIN_EXE_wampgres")
    );
    let script = Command::new("script")
        .args(["-qec", &bench, "/dev/null"])
        .output();
    let script = script.expect("script of util-linux: apt-get install bsdutils");
    let seen = String::from_utf8_lossy(&script.stdout).into_owned();
    assert!(script.status.success(), "{seen}");
    seen
}

#[test]
fn a_terminal_shows_how_far_the_run_is() {
    let calls = fake_router::start(|from, message| say(from, right(message)));
    let seen = seen(calls, "--duration 0.6 --warmup 0");
    assert!(seen.contains("\r\x1b[2K[###"), "a bar that grows: {seen:?}");
    let (_, after) = seen.rsplit_once("\r\x1b[2K").expect("it is wiped out");
    assert!(
        !after.contains('['),
        "and is wiped out in the end: {seen:?}"
    );
    assert!(seen.contains("calls/s"), "{seen:?}");
}

#[test]
fn a_bar_grows_with_what_has_ended_of_all_that_will() {
    let to_two = fake_router::start(|from, message| {
        let mut answers = say(from, right(message));
        if message[0] == code::PUBLISH {
            for subscriber in [1, 2] {
                let number = &message[1];
                let event = json!([code::EVENT, 7, number, {}, [number]]);
                answers.extend(say(subscriber, event));
            }
        }
        answers
    });
    let pubsub = "--mode pubsub --connections 2 --rate 20 --calls 16";
    // Powers of two, so that no part of them is rounded.
    for (address, args, ends) in [
        (to_two, pubsub, 32),
        (erring(1), "--rate 20 --calls 16", 16),
    ] {
        let seen = seen(address, args);
        // `[###---] 3 done, 20/s`, with 30 signs.
        let bars: Vec<(usize, usize)> = (seen.split('\r'))
            .filter_map(|line| line.split_once(" done")?.0.split_once("] "))
            .map(|(bar, done)| (bar.matches('#').count(), done.parse().expect("a number")))
            .collect();
        assert!(
            bars.iter().any(|(_, done)| (2..ends).contains(done)),
            "{seen:?}"
        );
        for (filled, done) in bars {
            assert_eq!(filled, done * 30 / ends, "{seen:?}");
        }
    }
}

#[test]
fn files_that_cannot_be_written_are_told_before_the_run() {
    let nobody: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    for name in ["figures.json", "plot.svg"] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join(name)).expect("a directory in the way");
        let child = spawn(&directory, nobody, "--calls 1");
        finish(child, directory).assert_fails(&format!("{name} cannot be written: "));
    }
}

#[test]
fn a_run_that_fails_leaves_the_figures_of_the_one_before() {
    let nobody: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("figures.json");
    let before = format!(
        "{{\"operations\": 7, \"long\": \"{}\"}}",
        "x".repeat(50_000)
    );
    std::fs::write(&file, &before).expect("a file");
    let outcome = finish(spawn(&directory, nobody, "--calls 1"), directory);
    outcome.assert_fails("cannot reach");
    assert_eq!(outcome.json()["operations"], 7);

    // Nothing of them is left behind shorter ones.
    let address = fake_router::start(|from, message| say(from, right(message)));
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("figures.json"), &before).expect("a file");
    let outcome = finish(spawn(&directory, address, "--calls 3"), directory);
    assert_eq!(outcome.figures()["operations"], 3);
}

#[test]
fn figures_are_written_for_a_reader_who_has_gone_as_well() {
    let address = fake_router::start(|from, message| say(from, right(message)));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut child = spawn(&directory, address, "--calls 3");
    drop(child.stdout.take());
    let outcome = finish(child, directory);
    assert_eq!(outcome.figures()["operations"], 3);
}

#[test]
fn faults_of_the_command_line_are_told_before_anything_is_done() {
    let nobody: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    for args in [
        "--args 5",
        "--args [",
        "--connections 0",
        "--rate 0",
        "--rate 1e-19",
        "--timeout 0",
        "--timeout nan",
        "--duration 1e19",
        "--warmup 1e7",
        "--rate 5 --inflight 2",
        "--calls 5 --duration 1",
        "--duration soon",
        "--mode flood",
        "--serializer xml",
    ] {
        let outcome = bench(nobody, args);
        assert_eq!(outcome.code, Some(2), "{args}: {}", outcome.stderr);
        let option = args.split(' ').next().expect("an option");
        assert!(
            outcome.stderr.contains(option),
            "{args}: {}",
            outcome.stderr
        );
    }
    for args in [
        "--procedure a.b",
        "--args []",
        "--inflight 1",
        "--rate 5",
        "--calls 1",
        "--warmup 0",
    ] {
        let outcome = bench(nobody, &format!("--mode connect {args}"));
        assert_eq!(outcome.code, Some(2), "{args}: {}", outcome.stderr);
        let option = args.split(' ').next().expect("an option");
        let words = format!("--mode connect makes no calls: {option} is of no use with it");
        assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    }
}
