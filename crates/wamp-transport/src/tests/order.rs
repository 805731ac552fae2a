//! The order in which a session hears of events, answers and ends, and that of what it sends at once.

use super::*;

/// The messages in frames, as they come in one go.
fn frames(messages: impl IntoIterator<Item = Value>) -> Vec<u8> {
    let frames = (messages.into_iter()).map(|message| frame(1, message.to_string().as_bytes()));
    frames.collect::<Vec<_>>().concat()
}

#[test]
fn what_comes_in_one_go_is_taken_whole_and_in_order() {
    const EVENTS: u64 = 1000;
    let served = serve(options());
    let (mut publisher, mut subscriber) = (served.join(), served.join());
    subscriber.send(&json!([32, 1, {}, "com.a"]));
    assert_eq!(subscriber.receive()[0], 33);
    let events = (1..=EVENTS).map(|n| json!([16, n, {}, "com.a", [n]]));
    let goodbye = json!([6, {}, "wamp.close.normal"]);
    let all = frames(events.chain([goodbye]));
    publisher.0.get_mut().write_all(&all).unwrap();
    publisher.0.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(publisher.receive()[0], 6);
    for n in 1..=EVENTS {
        assert_eq!(subscriber.receive()[4], json!([n]));
    }
}

#[test]
fn events_come_only_between_subscribed_and_unsubscribed_and_in_order() {
    const ROUNDS: u64 = 100;
    let served = serve(options());
    // Keeps the subscription, so that its id stays.
    let mut keeper = served.join();
    keeper.send(&json!([32, 1, {}, "com.a"]));
    let id = keeper.receive()[2].clone();
    let mut publisher = served.join();
    let mut subscriber = served.join();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let has_stopped = stop.clone();
    let publishing = thread::spawn(move || {
        for n in 1.. {
            // One is acknowledged from time to time, so that not too many wait.
            let options = json!({"acknowledge": n % 50 == 0});
            publisher.send(&json!([16, n, options, "com.a", [n]]));
            if n % 50 == 0 {
                assert_eq!(publisher.receive()[0], 17);
                if has_stopped.load(std::sync::atomic::Ordering::Relaxed) {
                    return n;
                }
            }
        }
        0
    });
    let keeping = thread::spawn(move || {
        let mut heard = 0;
        loop {
            let event = keeper.receive();
            heard += 1;
            if event[4] == json!(["last"]) {
                return heard;
            }
            assert_eq!(event[4], json!([heard]), "nothing lost, nothing twice");
        }
    });
    subscribe_and_unsubscribe(&mut subscriber, &id, ROUNDS);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let published: u64 = publishing.join().unwrap();
    subscriber.send(&json!([16, 10_000, {}, "com.a", ["last"]]));
    assert_eq!(keeping.join().unwrap(), published + 1);
}

/// Both at once, and the next pair before the answers to this one.
fn subscribe_and_unsubscribe(subscriber: &mut Client, id: &Value, rounds: u64) {
    let mut outstanding = Vec::new();
    for round in 0..rounds {
        let (subscribe, unsubscribe) = (2 * round + 1, 2 * round + 2);
        subscriber.send(&json!([32, subscribe, {}, "com.a"]));
        subscriber.send(&json!([34, unsubscribe, id]));
        outstanding.extend([(33, subscribe), (35, unsubscribe)]);
    }
    let (mut latest, mut is_subscribed) = (0, false);
    let mut outstanding = outstanding.into_iter();
    while outstanding.len() > 0 {
        let message = subscriber.receive();
        if message[0] == 36 {
            assert!(
                is_subscribed,
                "an EVENT after UNSUBSCRIBED or before SUBSCRIBED"
            );
            let event = message[4][0].as_u64().unwrap();
            assert!(event > latest, "{event} after {latest}");
            latest = event;
            continue;
        }
        let (code, request) = outstanding.next().unwrap();
        assert_eq!((&message[0], &message[1]), (&json!(code), &json!(request)));
        is_subscribed = code == 33;
    }
}
