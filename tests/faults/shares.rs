//! Two callers of the same: one has 3,000 calls in flight, and the other is never refused.

use serde_json::json;

use super::workbench::{self, Bench, CLASSNAME, FEW, HELD, HOLD, HOLD_FEW};
use crate::support::{
    backends::{Backend, on_each_backend},
    node::{HERE, Node, config, container, router},
    postgres::Database,
    websocket::{ANY, Client, code, hello},
};

const IN_FLIGHT: u64 = 3000;
/// How many calls the other makes at once.
const MODEST: u64 = 100;

/// Calls more than there is room for. So many are granted; the others are refused, with words that
/// name what to change, and may be made again.
fn call_greedily(client: &mut Client, procedure: &str, granted: u64, mend: &str) {
    for n in 0..IN_FLIGHT {
        client.call(procedure, &json!([n]));
    }
    for _ in granted..IN_FLIGHT {
        let error = client.answer().error("wamp.error.unavailable");
        assert!(error.message.contains("its share"), "{error:?}");
        assert!(error.message.contains(mend), "{error:?}");
        assert_eq!(error.details["retryable"], true, "{error:?}");
    }
}

/// So many calls have a result.
fn expect_results(client: &mut Client, calls: u64) {
    for _ in 0..calls {
        client.answer().result();
    }
}

on_each_backend![
    one_caller_leaves_room_for_another_in_a_pools_queue,
    one_caller_leaves_room_for_another_at_a_procedure_with_a_concurrency,
    one_realms_callers_leave_room_for_another_realms_in_a_pool_that_both_have,
];

fn shares_leave_room(backend: Backend, database: &str, procedure: &str, granted: u64, mend: &str) {
    let bench = Bench::start(backend, database, json!({"cp_min": 2, "cp_max": 2}));
    let [mut greedy, mut modest] = [bench.join(), bench.join()];
    let hold = bench.hold();
    call_greedily(&mut greedy, procedure, granted, mend);
    for n in 0..MODEST {
        modest.call(procedure, &json!([n]));
    }
    bench.observe().wait_for(2, HELD);
    drop(hold);
    expect_results(&mut modest, MODEST);
    expect_results(&mut greedy, granted);
    bench.assert_whole(2);
}

fn one_caller_leaves_room_for_another_in_a_pools_queue(backend: Backend) {
    let all = 1024 + 2;
    let mend = "raise queue_limit or cp_max";
    shares_leave_room(backend, "share_of_a_pool", HOLD, all / 2, mend);
}

fn one_caller_leaves_room_for_another_at_a_procedure_with_a_concurrency(backend: Backend) {
    let all = 1024;
    let mend = "higher concurrency";
    shares_leave_room(
        backend,
        "share_of_a_procedure",
        HOLD_FEW,
        all / 2 + FEW,
        mend,
    );
}

#[test]
fn one_caller_leaves_room_for_another_at_a_callee_on_a_connection() {
    const PROCEDURE: &str = "com.example.late";
    let node = Node::start(&config(&[router()]));
    let [mut callee, mut greedy, mut modest] = [(); 3].map(|()| Client::join(node.address()));
    callee.register(PROCEDURE);
    for (client, calls) in [(&mut greedy, IN_FLIGHT), (&mut modest, MODEST)] {
        for n in 0..calls {
            client.call(PROCEDURE, &json!([n]));
        }
    }
    let invoked: Vec<_> = (0..IN_FLIGHT + MODEST)
        .map(|_| callee.expect(&json!([code::INVOCATION, ANY, ANY, {}, [ANY]]))[1].clone())
        .collect();
    for invocation in invoked {
        callee.send(&json!([code::YIELD, invocation, {}]));
    }
    expect_results(&mut modest, MODEST);
    expect_results(&mut greedy, IN_FLIGHT);
}

fn one_realms_callers_leave_room_for_another_realms_in_a_pool_that_both_have(backend: Backend) {
    let database = Database::create("share_of_a_realm", backend);
    let mut router = router();
    let mut second = router["realms"][0].clone();
    second["name"] = json!("realm2");
    let realms = router["realms"].as_array_mut().expect("realms");
    realms.push(second);
    let [here, mut there] =
        [(); 2].map(|()| container(CLASSNAME, HERE, json!({"database": "main"})));
    there["components"][0]["realm"] = json!("realm2");
    let mut config = config(&[router, here, there]);
    let mut main = database.extra();
    main["queue_limit"] = json!(22);
    main["cp_max"] = json!(2);
    config["databases"] = json!({"main": main});
    let node = workbench::node_of(&config);

    let join = |realm| {
        let mut client = Client::open(node.address());
        client.send(&hello(realm));
        client.welcomed();
        client
    };
    let mut locked = database.client();
    locked
        .batch_execute("SELECT pg_advisory_lock(1)")
        .expect("a lock");
    // Half of what there is is for this realm; of that one has half, and the next half of the rest.
    let [mut first, mut second, mut modest] = ["realm1", "realm1", "realm2"].map(join);
    call_greedily(&mut first, HOLD, 6, "raise queue_limit");
    call_greedily(&mut second, HOLD, 4, "raise queue_limit");
    for n in 0..6 {
        modest.call(HOLD, &json!([n]));
    }
    database.observe().wait_for(2, HELD);
    drop(locked);
    for (client, calls) in [(&mut modest, 6), (&mut first, 6), (&mut second, 4)] {
        expect_results(client, calls);
    }
}
