//! A node that stops while jobs run and wait.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::json;
use tungstenite::protocol::frame::coding::CloseCode;

use super::workbench::{Bench, HELD, HOLD, QUICK};
use crate::support::{
    backends::{Backend, on_each_backend},
    node::{HERE, Node, config, container, router},
    postgres::Database,
    wait,
    websocket::{ANY, Client, code},
};

const CP_MAX: usize = 2;
/// What README.md promises of a stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(9);

/// Awaits the node's Close frame, which must be what comes next, and answers it.
fn close(mut client: Client) {
    assert_eq!(client.expect_close().0, CloseCode::Away);
}

/// Five calls of one client: some run on the pool's workers, the others wait for one.
fn occupy(bench: &Bench, client: &mut Client) -> Vec<u64> {
    let held: Vec<_> = (0..5).map(|n| client.call(HOLD, &json!([n]))).collect();
    bench.observe().wait_for(CP_MAX, HELD);
    bench.wait_for_queue(&mut bench.join(), 5 - CP_MAX as u64);
    held
}

/// Calls until the node refuses to begin calls.
fn call_until_refused(client: &mut Client) {
    wait::until("calls to be refused", || {
        let request = client.call(QUICK, &json!([1]));
        // While the pool's workers are taken it waits behind the others for ever.
        client.cancel(request, None);
        let error = client
            .answer_to(request)
            .outcome
            .expect_err("it is canceled");
        (error.uri == "wamp.error.unavailable").then_some(())
    });
}

on_each_backend![
    calls_that_run_and_calls_that_wait_end_well_when_a_node_stops,
    a_node_that_stops_under_load_answers_every_call_once,
    calls_that_outlast_the_grace_are_answered_and_their_sql_is_stopped,
];

fn calls_that_run_and_calls_that_wait_end_well_when_a_node_stops(backend: Backend) {
    let bench = Bench::start(
        backend,
        "stop_in_time",
        json!({"cp_min": CP_MAX, "cp_max": CP_MAX}),
    );
    let hold = bench.hold();
    let mut client = bench.join();
    let mut latecomer = bench.join();
    let held = occupy(&bench, &mut client);
    let Bench { node, database } = bench;
    let (send, stopped) = channel();
    std::thread::spawn(move || send.send(node.stop()));
    call_until_refused(&mut latecomer);

    drop(hold);
    let mut answered: Vec<_> = held
        .iter()
        .map(|_| {
            let answer = client.answer();
            let request = answer.request;
            answer.result();
            request
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, held);
    close(client);
    close(latecomer);
    let took = stopped.recv_timeout(wait::PATIENCE);
    let took = took.expect("the node stops");
    assert!(took < STOP_TIMEOUT, "{took:?}");
    database.observe().wait_for_backends(0);
}

fn a_node_that_stops_under_load_answers_every_call_once(backend: Backend) {
    const CALLERS: usize = 100;
    let database = Database::create("stop_under_load", backend);
    let extra = json!({"database": database.extra()});
    let component = container("hello.MyDatabaseComponent", HERE, extra);
    let mut node = Node::start(&config(&[router(), component]));
    let address = node.address();
    // While this call is under way the node sends no Close frame that a CALL could cross with.
    let mut callee = Client::join(address);
    callee.register("com.example.slow");
    let mut slow_caller = Client::join(address);
    let slow = slow_caller.call("com.example.slow", &json!([]));
    let invocation = callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, []]));

    let [joined, served, refused] = [const { AtomicUsize::new(0) }; 3];
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut client = Client::join(address);
                joined.fetch_add(1, Ordering::Relaxed);
                loop {
                    let request = client.call("com.example.now.v1", &json!([]));
                    match client.answer_to(request).outcome {
                        Ok(_) => served.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            assert_eq!(error.uri, "wamp.error.unavailable", "{error:?}");
                            refused.fetch_add(1, Ordering::Relaxed);
                            return close(client);
                        }
                    };
                }
            });
        }
        wait::until("load", || {
            let all_joined = joined.load(Ordering::Relaxed) == CALLERS;
            (all_joined && served.load(Ordering::Relaxed) > 3 * CALLERS).then_some(())
        });
        node.signal(Signal::SIGTERM);
        wait::until("everyone to be refused", || {
            (refused.load(Ordering::Relaxed) == CALLERS).then_some(())
        });
        callee.send(&json!([code::YIELD, invocation[1], {}, ["late"]]));
        assert_eq!(slow_caller.expect_result(slow), "late");
        close(callee);
        close(slow_caller);
    });
    assert_eq!(node.wait().code(), Some(0));
    database.observe().wait_for_backends(0);
}

fn calls_that_outlast_the_grace_are_answered_and_their_sql_is_stopped(backend: Backend) {
    let bench = Bench::start(
        backend,
        "stop_late",
        json!({"cp_min": CP_MAX, "cp_max": CP_MAX}),
    );
    let _hold = bench.hold();
    let mut client = bench.join();
    let held = occupy(&bench, &mut client);
    let mut observer = bench.observe();
    let Bench { node, .. } = bench;
    let (send, stopped) = channel();
    std::thread::spawn(move || send.send(node.stop()));
    let mut answered: Vec<_> = held
        .iter()
        .map(|_| {
            let answer = client.answer();
            let request = answer.request;
            let error = answer.error("wamp.error.canceled");
            assert!(error.message.contains("shut down"), "{error:?}");
            request
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, held);
    close(client);
    let took = stopped.recv_timeout(wait::PATIENCE);
    let took = took.expect("the node stops");
    // Calls have most of the time, and all of it ends before `docker stop` kills.
    assert!(took >= STOP_TIMEOUT / 2, "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    observer.wait_for_backends(0);
}
