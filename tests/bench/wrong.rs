//! Routers that answer wrongly, not at all, or go away: the run fails and says what was wrong.

use std::net::{SocketAddr, TcpListener};

use serde_json::json;

use super::{bench, right};
use crate::support::{
    fake_router::{self, Answers, say},
    node::{Node, config, router},
    websocket::code,
};

/// Answers the third call, or the third publication, as given, and all else rightly.
fn third(mut wrong: impl FnMut(usize, u64) -> Answers + Send + 'static) -> SocketAddr {
    fake_router::start(move |from, message| {
        let request = message[1].as_u64().expect("a request id");
        let answer = right(message);
        let is_publish = message[0] == code::PUBLISH;
        match (request, is_publish) {
            (3, false) => wrong(from, request),
            (3, true) => [say(from, answer), wrong(1, request)].concat(),
            (_, false) => say(from, answer),
            (_, true) => [say(from, answer), event(request)].concat(),
        }
    })
}

fn event(number: u64) -> Answers {
    say(1, json!([code::EVENT, 7, number, {}, [number]]))
}

#[test]
fn a_wrong_answer_fails_the_run_and_is_named() {
    fn result(to: usize, request: u64) -> Answers {
        say(to, json!([code::RESULT, request, {}, ["2", 2]]))
    }
    let twice = third(|to, request| [result(to, request), result(to, request)].concat());
    bench(twice, "--calls 10").assert_fails("session 0: request 3 was answered twice");
    bench(twice, "--calls 3").assert_fails("session 0: request 3 was answered twice");
    let alien = third(|to, _| result(to, 4711));
    bench(alien, "--calls 10").assert_fails("request 4711, which was never made");
    let lost = third(|_, _| Vec::new());
    bench(lost, "--calls 10 --timeout 0.3").assert_fails(
        "nothing has come for 300ms, the first of them session 0: the answer to CALL 3",
    );
    bench(lost, "--calls 10 --inflight 2 --timeout 0.3").assert_fails("the answer to CALL 3");
    bench(result_of_another(), "--mode echo --calls 10")
        .assert_fails("request 2 was answered with [1,1], not with [1,2], which was sent");
    let nonsense = third(|to, _| vec![(to, "[50,3,{}".to_owned())]);
    bench(nonsense, "--calls 10").assert_fails("the router sent what it must not send");
    let unasked = third(|to, _| say(to, json!([code::EVENT, 1, 1, {}, [1]])));
    bench(unasked, "--calls 10").assert_fails("which answers nothing that was asked");
}

/// Answers each call with the arguments of the first.
fn result_of_another() -> SocketAddr {
    fake_router::start(|from, message| match message[0].as_u64() {
        Some(code::REGISTER) => say(from, json!([code::REGISTERED, message[1], 7])),
        _ => say(from, json!([code::RESULT, message[1], {}, [1, 1]])),
    })
}

#[test]
fn a_doubled_or_foreign_answer_before_the_load_fails_the_run() {
    for (mode, wrong) in [
        ("echo", json!([code::REGISTERED, 1, 7])),
        ("echo", json!([code::REGISTERED, 2, 7])),
        ("pubsub", json!([code::SUBSCRIBED, 1, 7])),
        ("pubsub", json!([code::SUBSCRIBED, 2, 7])),
    ] {
        let name = if mode == "echo" {
            "REGISTERED"
        } else {
            "SUBSCRIBED"
        };
        let words = format!("{name}, which answers nothing that was asked");
        let args = format!("--mode {mode} --connections 2 --calls 10 --timeout 5");
        let address = fake_router::start(move |from, message| match message[0].as_u64() {
            Some(code::REGISTER | code::SUBSCRIBE) if wrong[1] == 1 => {
                [say(from, right(message)), say(from, wrong.clone())].concat()
            }
            Some(code::REGISTER | code::SUBSCRIBE) => say(from, wrong.clone()),
            // The load may have begun when the second comes, and must not fail before.
            _ => Vec::new(),
        });
        bench(address, &args).assert_fails(&words);
    }
}

#[test]
fn an_invocation_that_is_doubled_or_of_another_registration_fails_the_run() {
    /// Invokes session 0 for each call, and gives its answer to the caller.
    fn invoking(invocations: fn(u64) -> Vec<(u64, u64)>) -> SocketAddr {
        fake_router::start(move |from, message| match message[0].as_u64() {
            Some(code::CALL) => {
                let request = message[1].as_u64().expect("a request id");
                (invocations(request).into_iter())
                    .flat_map(|(request, registration)| {
                        let args = &message[4];
                        say(
                            0,
                            json!([code::INVOCATION, request, registration, {}, args]),
                        )
                    })
                    .collect()
            }
            Some(code::YIELD) => say(1, json!([code::RESULT, message[1], {}, message[3]])),
            _ => say(from, right(message)),
        })
    }
    let run = |invocations| bench(invoking(invocations), "--mode echo --calls 10");
    let figures = run(|request| vec![(request, 7)]).figures();
    assert_eq!(figures["operations"], 10);
    run(|request| vec![(request, 7), (request, 7)])
        .assert_fails("INVOCATION 1 came after INVOCATION 1: it is doubled or out of order");
    run(|request| vec![(request, 8)]).assert_fails("an INVOCATION of registration 8");
}

#[test]
fn what_is_owed_when_goodbye_is_not_answered_fails_the_run() {
    let rude = |published: bool| {
        fake_router::start_rude(move |from, message| match message[0].as_u64() {
            Some(code::GOODBYE) => Vec::new(),
            Some(code::PUBLISH) => {
                let number = message[1].as_u64().expect("a request id");
                let answer = if published {
                    say(from, right(message))
                } else {
                    Vec::new()
                };
                [answer, event(number)].concat()
            }
            _ => say(from, right(message)),
        })
    };
    let args = "--mode pubsub --calls 3 --timeout 2";
    bench(rude(false), args)
        .assert_fails("session 0: the answer to PUBLISH 1 had not come when the session ended");
    let figures = bench(rude(true), args).figures();
    assert_eq!(figures["operations"], 3);
}

#[test]
fn an_event_lost_doubled_or_out_of_order_fails_the_run() {
    // A router of its own for each run, for it counts its connections.
    let pubsub = |wrong: fn(usize, u64) -> Answers, args: &str| {
        let args = format!("--mode pubsub --timeout 0.3 {args}");
        bench(third(wrong), &args)
    };
    let twice = |_, number| [event(number), event(number)].concat();
    pubsub(twice, "--calls 10")
        .assert_fails("session 1: event 3 came where event 4 was due: it is doubled");
    pubsub(twice, "--calls 3").assert_fails("it is doubled");
    let lost = |_, _| Vec::new();
    pubsub(lost, "--calls 10").assert_fails("session 1: event 3");
    pubsub(lost, "--calls 10 --inflight 5").assert_fails("event 4 came where event 3 was due");
}

#[test]
fn a_router_that_goes_away_or_is_not_there_ends_the_run() {
    let ended = third(|to, _| vec![(to, String::new())]);
    bench(ended, "--calls 10").assert_fails("in the middle of the run; did the node go away?");
    let aborted = third(|to, _| {
        say(
            to,
            json!([code::ABORT, {"message": "so it is"}, "wamp.error.x"]),
        )
    });
    bench(aborted, "--calls 10")
        .assert_fails("the router ended the session: wamp.error.x: so it is");
    let nobody = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = nobody.local_addr().expect("it is bound");
    drop(nobody);
    bench(address, "--calls 10").assert_fails("is the node running there? `wampgres start`");
    // It takes connections and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = silent.local_addr().expect("it is bound");
    bench(address, "--timeout 0.3").assert_fails("only 0 of 1 sessions were ready");

    let node = Node::start(&config(&[router()]));
    bench(node.address(), "--realm elsewhere").assert_fails("wamp.error.no_such_realm");
}
