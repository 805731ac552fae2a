//! The page in a real Chromium: what a person sees of a node that is there, that goes away and
//! comes again, and of an AutobahnJS that is not installed.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{
    browser::Browser,
    node::{Node, config, container, router},
    port,
    postgres::Postgres,
    python_datetime,
};

/// A node as the project's configuration describes it, on this port, with the page in its place.
fn start(port: u16) -> Node {
    let mut router = router();
    let transport = &mut router["transports"][0];
    transport["endpoint"]["port"] = json!(port);
    transport["paths"]["shared"] = json!({"type": "static", "directory": "web/shared"});
    let url = format!("ws://127.0.0.1:{port}/ws");
    let extra = json!({"database": Postgres::shared().database().extra()});
    let component = container("hello.MyDatabaseComponent", &url, extra);
    let node = Node::start(&config(&[router, component]));
    copy("web/index.htm", &node.directory().join("web/index.htm"));
    node
}

fn install_autobahn(node: &Node) {
    copy(
        "target/test-clients/node_modules/autobahn-browser/autobahn.min.js",
        &node.directory().join("web/shared/autobahn.min.js"),
    );
}

fn copy(from: &str, to: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copied = fs::copy(root.join(from), to);
    copied.unwrap_or_else(|error| panic!("{from}: {error}: scripts/test installs what is missing"));
}

const ALL_OK: &str = "document.querySelectorAll('li[data-state=ok]').length === 4";
const ROWS: &str = "[...document.querySelectorAll('li')].map((row) => [
    row.dataset.procedure,
    row.querySelector('.result').innerText,
    row.querySelector('.latency').innerText,
])";

fn is_state(name: &str) -> String {
    format!("document.getElementById('state').dataset.state === '{name}'")
}

/// What the page shows of the four: the times, in its order.
fn times(browser: &mut Browser) -> Vec<String> {
    let rows = browser.evaluate(ROWS);
    let rows: Vec<[String; 3]> = serde_json::from_value(rows).expect("three texts a row");
    for (index, [procedure, time, latency]) in rows.iter().enumerate() {
        assert_eq!(*procedure, format!("com.example.now.v{}", index + 1));
        python_datetime::parse(time);
        let milliseconds = latency.strip_suffix(" ms").map(str::parse::<f64>);
        assert!(matches!(milliseconds, Some(Ok(_))), "{latency:?}");
    }
    rows.into_iter().map(|[_, time, _]| time).collect()
}

#[test]
fn the_page_shows_the_databases_time_four_times() {
    let port = port::reserved();
    let node = start(port.number());
    install_autobahn(&node);
    let mut browser = Browser::open(&format!("http://{}/", node.address()));
    browser.wait_for(&is_state("connected"));
    browser.wait_for(ALL_OK);
    let state = browser.evaluate("document.getElementById('state').innerText");
    assert_eq!(state, "Connected");
    assert_eq!(
        browser.evaluate("document.getElementById('advice').hidden"),
        json!(true)
    );
    let first = times(&mut browser);
    assert_eq!(first.len(), 4);

    let console = browser.console();
    assert_eq!(console[0], "Connected");
    let mut results = console[1..].to_vec();
    results.sort();
    let shown = first.iter().enumerate();
    let shown: Vec<String> = shown
        .map(|(i, time)| format!("result {} {time}", i + 1))
        .collect();
    assert_eq!(results, shown);

    browser.evaluate("document.getElementById('again').click()");
    browser.wait_for(ALL_OK);
    let second = times(&mut browser);
    for (first, second) in first.iter().zip(&second) {
        assert!(python_datetime::parse(first) < python_datetime::parse(second));
    }
}

#[test]
fn the_page_tells_when_the_node_is_gone_and_comes_back_with_it() {
    let port = port::reserved();
    let node = start(port.number());
    install_autobahn(&node);
    let mut browser = Browser::open(&format!("http://{}/", node.address()));
    browser.wait_for(ALL_OK);
    let first = times(&mut browser);

    drop(node);
    browser.wait_for(&is_state("lost"));
    let advice = browser.evaluate("document.getElementById('advice').innerText");
    let advice = advice.as_str().expect("a text");
    assert!(advice.contains("The node does not answer"), "{advice}");
    assert!(advice.contains("scripts/run"), "{advice}");
    let again = browser.evaluate("document.getElementById('again').disabled");
    assert_eq!(again, json!(true));

    let _node = start(port.number());
    browser.wait_for(&is_state("connected"));
    browser.wait_for(ALL_OK);
    let second = times(&mut browser);
    assert!(python_datetime::parse(&first[0]) < python_datetime::parse(&second[0]));
    assert_eq!(
        browser.evaluate("document.getElementById('advice').hidden"),
        json!(true)
    );
}

#[test]
fn the_page_says_what_to_do_without_autobahn() {
    let port = port::reserved();
    let node = start(port.number());
    let mut browser = Browser::open(&format!("http://{}/", node.address()));
    browser.wait_for(&is_state("missing"));
    let advice: Value = browser.evaluate("document.getElementById('advice').innerText");
    let advice = advice.as_str().expect("a text");
    assert!(advice.contains("AutobahnJS is not installed"), "{advice}");
    assert!(advice.contains("scripts/run"), "{advice}");
}
