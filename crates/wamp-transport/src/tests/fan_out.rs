//! An event for many connections of one I/O thread.

use super::*;

#[test]
fn the_receivers_on_one_thread_cost_one_hand_over_and_hear_everything_in_order() {
    const EVENTS: u64 = 5;
    let served = serve(options());
    let mut subscribers: Vec<_> = (0..4)
        .map(|_| {
            let mut subscriber = served.join();
            subscriber.send(&json!([32, 1, {}, "com.a"]));
            assert_eq!(subscriber.receive()[0], 33);
            subscriber
        })
        .collect();
    // The publisher is told between the events that it has published, and its own as well.
    let publisher = &mut subscribers[0];
    for n in 1..=EVENTS {
        let options = json!({"acknowledge": true, "exclude_me": false});
        publisher.send(&json!([16, 1 + n, options, "com.a", [n]]));
        let (published, event) = (publisher.receive(), publisher.receive());
        assert_eq!((&published[0], &published[1]), (&json!(17), &json!(1 + n)));
        assert_eq!((&event[0], &event[4]), (&json!(36), &json!([n])));
    }
    for subscriber in &mut subscribers[1..] {
        let heard: Vec<_> = (0..EVENTS)
            .map(|_| subscriber.receive()[4][0].clone())
            .collect();
        assert_eq!(heard, [1, 2, 3, 4, 5]);
    }
    assert_eq!(served.realm.hand_overs() as u64, EVENTS);
}

#[test]
fn each_receiver_of_an_event_has_its_own_limit() {
    let served = serve(WebSocketOptions {
        outbox_limit: 64 << 10,
        ..options()
    });
    let join = || {
        let mut subscriber = served.join();
        subscriber.send(&json!([32, 1, {}, "com.a"]));
        assert_eq!(subscriber.receive()[0], 33);
        subscriber
    };
    let (slow, mut quick) = (join(), join());
    let mut publisher = served.join();
    let text = "x".repeat(32 << 10);
    // The slow one reads nothing, so the kernel's buffers fill up first.
    let mut published = 0;
    let deadline = Instant::now() + PATIENCE;
    while served.realm.stats().sessions == 3 {
        assert!(Instant::now() < deadline, "nobody is dropped");
        published += 1;
        publisher.send(&json!([16, published, {"acknowledge": true}, "com.a", [text]]));
        publisher.receive();
        assert_eq!(quick.receive()[0], 36);
    }
    publisher.send(&json!([16, published + 1, {}, "com.a", ["last"]]));
    assert_eq!(quick.receive()[4], json!(["last"]));
    assert_eq!(served.realm.stats().sessions, 2);
    drop(slow);
}

#[test]
fn events_that_are_copied_and_events_that_are_shared_come_whole_and_in_order() {
    let served = serve(options());
    let mut subscribers: Vec<_> = (0..3).map(|_| served.join()).collect();
    for subscriber in &mut subscribers {
        subscriber.send(&json!([32, 1, {}, "com.a"]));
        assert_eq!(subscriber.receive()[0], 33);
    }
    let mut publisher = served.join();
    let lengths = [1, 300_000, 16_000, 17_000, 2, 70_000, 70_001];
    let text = |len| json!(["x".repeat(len)]);
    for len in lengths {
        publisher.send(&json!([16, 1, {}, "com.a", text(len)]));
    }
    for subscriber in &mut subscribers {
        for len in lengths {
            assert!(subscriber.receive()[4] == text(len), "{len}");
        }
    }
}
