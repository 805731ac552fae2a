//! Answers in parts, by the example that streams rows: what the node holds of them, who waits, and
//! how they end.

use serde_json::{Value, json};

use crate::{
    memory::resident,
    support::{
        autobahn::{Autobahn, BOTH, Client as AutobahnClient},
        backends::{Backend, on_each_backend},
        example::example,
        node::{Node, config, container, router},
        postgres::{Database, Observer},
        websocket::{Client, Received, code},
    },
};

const NUMBERS: &str = "com.example.numbers";
const ROWS: u64 = 1_000_000;
/// How much more memory than before the node may take meanwhile.
const FLAT: usize = 32 << 20;
/// More than all buffers between the node and a client that does not read hold.
const MANY: u64 = 10_000_000;

on_each_backend![
    a_million_rows_leave_the_memory_flat_and_a_caller_that_stops_reading_stops_the_backend,
    a_call_that_ends_early_ends_its_transaction,
    a_backend_that_is_killed_in_the_middle_is_one_error,
    no_more_than_its_concurrency_run_at_once_and_a_canceled_one_makes_room,
    a_component_on_another_router_streams_there,
    autobahn_clients_take_parts_and_who_takes_none_has_few_rows_or_an_error,
];

struct Bench {
    node: Node,
    database: Database,
    activity: Observer,
}

impl Bench {
    /// A node with the example's configuration on a database of its own.
    fn start(name: &str, backend: Backend) -> Self {
        let text = include_str!("../examples/streaming.json");
        let mut config: Value = serde_json::from_str(text).expect("JSON");
        let worker = &mut config["workers"][0];
        worker["transports"][0]["endpoint"]["port"] = json!(0);
        worker["transports"][0]["type"] = json!("web");
        worker["transports"][0]["paths"] = json!({
            "/": {"type": "static", "directory": "web"}, "ws": {"type": "websocket"}
        });
        let database = Database::create(name, backend);
        worker["components"][0]["extra"]["database"] = database.extra();
        let node = Node::start_program(&example("streaming"), &config, &[]);
        let activity = database.observe();
        Self {
            node,
            database,
            activity,
        }
    }

    fn join(&self) -> Client {
        Client::join(self.node.address())
    }
}

fn begin(client: &mut Client, rows: u64, options: &Value) -> u64 {
    let request = client.next_request();
    let mut options = options.clone();
    options["receive_progress"] = json!(true);
    client.send(&json!([code::CALL, request, options, NUMBERS, [rows]]));
    request
}

/// Takes a stream to its end: how many rows there were, each in its place.
fn read_all(client: &mut Client, request: u64, mut seen: impl FnMut(u64)) -> u64 {
    let mut rows = 0;
    loop {
        let Received::Text(text) = client.receive() else {
            continue;
        };
        let message: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (&message[0], &message[1]),
            (&json!(code::RESULT), &json!(request)),
            "{text:.200}"
        );
        if message[2]["progress"] != true {
            assert_eq!(message.as_array().expect("a list").len(), 3, "{text:.200}");
            return rows;
        }
        for row in message[3][0].as_array().expect("rows") {
            rows += 1;
            assert_eq!(row[0], rows);
        }
        seen(rows);
    }
}

/// Takes what is left of a stream that ends with an error, and asserts that it has no second answer.
fn read_error(client: &mut Client, request: u64) -> String {
    let uri = loop {
        let message = client.message();
        if message[0] == code::ERROR {
            assert_eq!(
                (&message[1], &message[2]),
                (&json!(code::CALL), &json!(request))
            );
            break message[4].as_str().expect("a URI").to_owned();
        }
        assert_eq!(message[2]["progress"], true, "{message}");
    };
    assert_eq!(client.result_of("com.example.one", &json!([])), json!([1]));
    uri
}

fn a_million_rows_leave_the_memory_flat_and_a_caller_that_stops_reading_stops_the_backend(
    backend: Backend,
) {
    let mut bench = Bench::start("streamed", backend);
    let [mut reading, mut stopping, mut other] = [(); 3].map(|()| bench.join());
    // Once, so that there is what a first call needs.
    let request = begin(&mut reading, 10_000, &json!({}));
    assert_eq!(read_all(&mut reading, request, |_| {}), 10_000);
    let before = resident(&bench.node);
    let mut most = 0;

    let stopped = begin(&mut stopping, ROWS, &json!({}));
    bench.activity.wait_for_waiting(1);
    let request = begin(&mut reading, ROWS, &json!({}));
    let rows = read_all(&mut reading, request, |rows| {
        if rows % 50_000 == 0 {
            most = most.max(resident(&bench.node));
            assert_eq!(other.result_of("com.example.one", &json!([])), json!([1]));
        }
    });
    assert_eq!(rows, ROWS);
    // The other one has not moved meanwhile.
    bench.activity.wait_for_waiting(1);
    most = most.max(resident(&bench.node));
    eprintln!("{} KiB before, {} KiB at most", before >> 10, most >> 10);
    assert!(most < before + FLAT, "{before} before, {most} at most");

    // It reads on, and all of it is there.
    assert_eq!(read_all(&mut stopping, stopped, |_| {}), ROWS);
    bench.activity.wait_for_end();
}

fn a_call_that_ends_early_ends_its_transaction(backend: Backend) {
    let mut bench = Bench::start("streamed_in_part", backend);
    for mode in ["kill", "killnowait", "skip"] {
        for waits in [true, false] {
            let mut client = bench.join();
            let request = begin(&mut client, MANY, &json!({}));
            if waits {
                bench.activity.wait_for_waiting(1);
            }
            client.message();
            client.cancel(request, Some(mode));
            if !waits {
                assert_eq!(read_error(&mut client, request), "wamp.error.canceled");
            }
            bench.activity.wait_for_end();
            if waits {
                assert_eq!(read_error(&mut client, request), "wamp.error.canceled");
            }
        }
    }
    // A caller that goes, in the middle and while it does not read.
    let mut client = bench.join();
    begin(&mut client, MANY, &json!({}));
    client.message();
    drop(client);
    bench.activity.wait_for_end();
    let mut client = bench.join();
    begin(&mut client, MANY, &json!({}));
    bench.activity.wait_for_waiting(1);
    drop(client);
    bench.activity.wait_for_end();
    // Whoever reads nothing has no new part, which would begin the timeout anew.
    let mut client = bench.join();
    let request = begin(&mut client, MANY, &json!({"timeout": 2000}));
    bench.activity.wait_for_waiting(1);
    bench.activity.wait_for_end();
    assert_eq!(read_error(&mut client, request), "wamp.error.timeout");
}

fn a_backend_that_is_killed_in_the_middle_is_one_error(backend: Backend) {
    let mut bench = Bench::start("streamed_and_killed", backend);
    let mut client = bench.join();
    for waits in [true, false] {
        let request = begin(&mut client, MANY, &json!({}));
        if waits {
            bench.activity.wait_for_waiting(1);
        } else {
            client.message();
        }
        assert!(bench.database.observe().terminate_backends() > 0);
        let uri = read_error(&mut client, request);
        assert!(uri.starts_with("wamp.error."), "{uri}");
        bench.activity.wait_for_end();
    }
}

fn no_more_than_its_concurrency_run_at_once_and_a_canceled_one_makes_room(backend: Backend) {
    let mut bench = Bench::start("streamed_at_once", backend);
    let mut clients = [(); 6].map(|()| bench.join());
    let requests = clients
        .each_mut()
        .map(|client| begin(client, MANY, &json!({})));
    bench.activity.wait_for_waiting(5);
    assert_eq!(
        bench.join().result_of("com.example.one", &json!([])),
        json!([1])
    );
    // One of the five makes room for the sixth, whichever came last.
    for (client, request) in clients.iter_mut().zip(requests).take(2) {
        client.cancel(request, Some("kill"));
    }
    for (client, request) in clients.iter_mut().zip(requests).take(2) {
        assert_eq!(read_error(client, request), "wamp.error.canceled");
    }
    bench.activity.wait_for_waiting(4);
    drop(clients);
    bench.activity.wait_for_end();
}

fn a_component_on_another_router_streams_there(backend: Backend) {
    let router = Node::start(&config(&[router()]));
    let database = Database::create("streamed_elsewhere", backend);
    let mut extra = json!({"procedures": {NUMBERS: {"concurrency": 1}}});
    extra["database"] = database.extra();
    let component = container("shop.Exports", &router.websocket_url(), extra);
    let mut exports = Node::start_program(&example("streaming"), &config(&[component]), &[]);
    exports.wait_for_log("registered 2 procedures");
    let mut client = Client::join(router.address());
    let request = begin(&mut client, 100_000, &json!({}));
    assert_eq!(read_all(&mut client, request, |_| {}), 100_000);
    // The next one begins when the connection of the last one is free.
    for mode in ["kill", "killnowait", "skip"] {
        let request = begin(&mut client, MANY, &json!({}));
        client.message();
        client.cancel(request, Some(mode));
        assert_eq!(read_error(&mut client, request), "wamp.error.canceled");
    }
    // The router is gone, and with it whoever wants the rest.
    begin(&mut client, MANY, &json!({}));
    client.message();
    drop(router);
    database.observe().wait_for_end();
}

fn autobahn_clients_take_parts_and_who_takes_none_has_few_rows_or_an_error(backend: Backend) {
    let bench = Bench::start("streamed_to_autobahn", backend);
    let url = bench.node.websocket_url();
    for kind in BOTH {
        let mut client = AutobahnClient::join(kind, &url);
        client.send(json!({"op": "call_progressively", "procedure": NUMBERS, "args": [2500]}));
        let result = client.expect("result");
        let parts = result["parts"].as_array().expect("parts").iter();
        let rows = parts.map(|part| part["args"][0].as_array().map_or(0, Vec::len));
        assert_eq!(rows.collect::<Vec<_>>(), [1000, 1000, 500], "{kind:?}");
        assert_eq!(result["end"], json!({"args": [], "kwargs": {}}), "{kind:?}");
    }
    let mut client = AutobahnClient::join(Autobahn::Python, &url);
    let few = client.call(NUMBERS, json!([2]), json!({}));
    let one = json!([1, "c4ca4238a0b923820dcc509a6f75849b"]);
    assert_eq!(few["args"][0][0], one);
    let error = client.call_error(NUMBERS, json!([ROWS]), json!({}));
    assert_eq!(error["uri"], "wamp.error.invalid_argument", "{error}");
}
