//! The log of slow calls: which are logged, and what their time went into.

use serde_json::{Value, json};

use crate::support::{
    backends::{Backend, on_each_backend},
    node::{HERE, Node, config, container, router},
    postgres::Database,
    wait,
    websocket::Client,
};

on_each_backend!(a_slow_call_is_logged_with_what_its_time_went_into);

fn start(database: &Database) -> Node {
    let mut settings = database.extra();
    settings["cp_min"] = json!(1);
    settings["cp_max"] = json!(1);
    let nap = "SELECT pg_sleep(:seconds::float8)";
    let extra = json!({
        "database": settings,
        "slow_call": "150ms",
        "procedures": {
            "com.slow.quick": {"sql": "SELECT 1", "slow_call": "1h"},
            "com.slow.nap": {"sql": nap, "returns": "none"},
            "com.slow.tried": {"sql": nap, "returns": "none", "retry": 1},
            "com.slow.short": {"sql": nap, "returns": "none", "timeout": "200ms"},
            "com.slow.long": {
                "sql": "SELECT repeat('x', 100) AS text FROM generate_series(1, :rows)",
                "max_rows": 1_000_000, "slow_call": "1ms"
            }
        }
    });
    let config = config(&[router(), container("sql.Procedures", HERE, extra)]);
    Node::start_with(&config, &["--log-format", "json"])
}

/// What is logged of slow calls, so many of them.
fn slow_calls(node: &mut Node, count: usize) -> Vec<Value> {
    wait::until("slow calls in the log", || {
        let log = node.log();
        let entries = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let fields = entries.map(|entry| entry["fields"].clone());
        let slow: Vec<_> = fields
            .filter(|fields| fields["message"] == "slow call")
            .collect();
        (slow.len() >= count).then_some(slow)
    })
}

fn number(entry: &Value, field: &str) -> f64 {
    entry[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field} in {entry}"))
}

fn a_slow_call_is_logged_with_what_its_time_went_into(backend: Backend) {
    let database = Database::create("slow_calls", backend);
    let mut node = start(&database);
    node.wait_for_log("procedures in SQL are prepared");
    let mut client = Client::join(node.address());
    let quick = client.call("com.slow.quick", &json!([]));
    client.answer_to(quick).result();
    // One after the other on the only connection.
    let naps = [
        client.call("com.slow.nap", &json!([0.2])),
        client.call("com.slow.tried", &json!([0.2])),
    ];
    for nap in naps {
        client.answer_to(nap).result();
    }
    let short = client.call("com.slow.short", &json!([10]));
    client.answer_to(short).error("wamp.error.canceled");
    let long = client.call("com.slow.long", &json!([20_000]));
    client.answer_to(long).result();

    let slow = slow_calls(&mut node, 4);
    let names: Vec<_> = slow
        .iter()
        .map(|entry| entry["procedure"].as_str())
        .collect();
    let expected = ["nap", "tried", "short", "long"].map(|name| format!("com.slow.{name}"));
    assert_eq!(names, expected.each_ref().map(|name| Some(name.as_str())));
    let [nap, tried, short, long] = slow.as_slice() else {
        panic!("{slow:?}");
    };
    assert!(number(nap, "database") >= 200.0, "{nap}");
    assert!(number(tried, "database") >= 200.0, "{tried}");
    // As long as the one before it, but for the time that it took to come.
    assert!(number(tried, "waited") > 0.0, "{tried}");
    let sum = number(tried, "database") + number(tried, "waited");
    assert!(number(tried, "millis") + 0.2 >= sum, "{tried}");
    assert!(
        number(short, "database") >= 200.0,
        "one that fails is logged too: {short}"
    );
    assert!(number(long, "encoding") > 0.0, "{long}");
    let parts = ["waited", "connecting", "database", "encoding"];
    for entry in &slow {
        let sum: f64 = parts.iter().map(|part| number(entry, part)).sum();
        // Each is rounded to a tenth.
        assert!(sum <= number(entry, "millis") + 0.5, "{entry}");
    }
}
