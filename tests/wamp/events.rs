//! Events on the wire: who receives them, and in which order.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;

use crate::support::{
    node::{Node, config, router},
    websocket::{ANY, Client, code},
};

const TOPIC: &str = "com.example.topic";

#[test]
fn all_subscribers_receive_an_event_and_the_publisher_where_it_asks() {
    let node = Node::start(&config(&[router()]));
    let mut clients = [(); 3].map(|()| Client::join(node.address()));
    let subscriptions = clients.each_mut().map(|client| client.subscribe(TOPIC));
    let [publisher, others @ ..] = &mut clients;

    let request = publisher.next_request();
    let options = json!({"acknowledge": true});
    publisher.send(&json!([code::PUBLISH, request, options, TOPIC, [1], {"k": 2}]));
    let published = publisher.expect(&json!([code::PUBLISHED, request, ANY]));
    for (other, subscription) in others.iter_mut().zip(&subscriptions[1..]) {
        let publication = &published[2];
        other.expect(&json!([code::EVENT, subscription, publication, {}, [1], {"k": 2}]));
    }

    let request = publisher.next_request();
    publisher.send(&json!([code::PUBLISH, request, {"exclude_me": false}, TOPIC, [2]]));
    for (client, subscription) in clients.iter_mut().zip(subscriptions) {
        // The first event was not for the publisher.
        client.expect(&json!([code::EVENT, subscription, ANY, {}, [2]]));
    }
}

#[test]
fn an_unsubscribed_session_receives_nothing_more() {
    let node = Node::start(&config(&[router()]));
    let [mut leaver, mut stayer, mut publisher] = [(); 3].map(|()| Client::join(node.address()));
    let subscription = leaver.subscribe(TOPIC);
    stayer.subscribe(TOPIC);
    let request = leaver.next_request();
    leaver.send(&json!([code::UNSUBSCRIBE, request, subscription]));
    leaver.expect(&json!([code::UNSUBSCRIBED, request]));
    publisher.publish(TOPIC, &json!([1]));
    stayer.expect(&json!([code::EVENT, ANY, ANY, {}, [1]]));
    // Whatever had been sent to it would come before this answer.
    leaver.subscribe("com.example.other");
}

#[test]
fn subscribed_comes_before_the_first_event_and_none_after_unsubscribed() {
    let node = Node::start(&config(&[router()]));
    let mut publisher = Client::join(node.address());
    let mut subscriber = Client::join(node.address());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                publisher.publish(TOPIC, &json!([]));
            }
        });
        // Whatever becomes of the assertions, the publisher is to stop.
        let stop = StopWhenDropped(&done);
        for _ in 0..50 {
            // It panics at an EVENT in place of SUBSCRIBED.
            let subscription = subscriber.subscribe(TOPIC);
            subscriber.expect(&json!([code::EVENT, subscription, ANY, {}, []]));
            let request = subscriber.next_request();
            subscriber.send(&json!([code::UNSUBSCRIBE, request, subscription]));
            loop {
                let message = subscriber.message();
                match message[0].as_u64() {
                    Some(code::EVENT) => assert_eq!(message[1], subscription),
                    Some(code::UNSUBSCRIBED) => break,
                    _ => panic!("neither EVENT nor UNSUBSCRIBED: {message}"),
                }
            }
        }
        drop(stop);
    });
}

struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_thousand_events_of_each_of_two_publishers_keep_their_order() {
    const EVENTS: u64 = 1_000;
    let node = Node::start(&config(&[router()]));
    let mut subscribers = [(); 2].map(|()| Client::join(node.address()));
    for subscriber in &mut subscribers {
        subscriber.subscribe(TOPIC);
    }
    thread::scope(|scope| {
        for name in ["a", "b"] {
            let mut publisher = Client::join(node.address());
            scope.spawn(move || {
                for n in 0..EVENTS {
                    publisher.publish(TOPIC, &json!([name, n]));
                }
                // Its events are with the router when it answers.
                publisher.leave();
            });
        }
        for subscriber in &mut subscribers {
            scope.spawn(|| {
                let (mut a, mut b) = (0, 0);
                for _ in 0..2 * EVENTS {
                    let event = subscriber.expect(&json!([code::EVENT, ANY, ANY, {}, [ANY, ANY]]));
                    let next = match event[4][0].as_str() {
                        Some("a") => &mut a,
                        _ => &mut b,
                    };
                    assert_eq!(event[4][1], *next, "of {}", event[4][0]);
                    *next += 1;
                }
                assert_eq!((a, b), (EVENTS, EVENTS));
            });
        }
    });
}
