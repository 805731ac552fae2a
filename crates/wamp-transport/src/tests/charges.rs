//! Who is charged for what waits: calls that their router has held back, and events for a session of
//! this process.

use std::sync::mpsc::{self, Receiver, Sender};

use super::*;
use wamp::{ANONYMOUS, Message};

const MIB: usize = 1 << 20;

#[test]
fn a_call_that_a_concurrency_has_held_back_is_charged_to_its_caller_when_it_is_invoked() {
    let served = serve(WebSocketOptions {
        outbox_limit: 64 * MIB,
        ..options()
    });
    let [mut callee, mut caller, mut publisher] = [(); 3].map(|()| served.join());
    callee.send(&json!([64, 1, {"concurrency": 1}, "com.a"]));
    assert_eq!(callee.receive()[0], 65);
    callee.send(&json!([32, 1, {}, "com.topic"]));
    assert_eq!(callee.receive()[0], 33);
    // More than the kernel takes for a callee that does not read.
    let text = "x".repeat(4 * MIB);
    for request in 1..=5 {
        let options = json!({"acknowledge": true});
        publisher.send(&json!([16, request, options, "com.topic", [text]]));
        assert_eq!(publisher.receive()[0], 17);
    }
    let text = "x".repeat(100_000);
    for request in 1..=2 {
        caller.send(&json!([48, request, {}, "com.a", [text]]));
    }
    served.wait_until(|stats| stats.queued_calls == 1);
    served.wait_until(|_| (100_000..200_000).contains(&served.realm.caused()));
    // It knows the id of its first invocation.
    callee.send(&json!([70, 1, {}]));
    assert_eq!(caller.receive()[0], 50);
    served.wait_until(|_| served.realm.caused() > 200_000);
    drop(callee);
    assert_eq!(caller.receive()[4], "wamp.error.canceled");
    served.wait_until(|_| served.realm.caused() == 0);
}

/// A subscriber of this process that waits within its first event until it may go on.
struct Subscriber {
    transport: Mutex<Option<Arc<dyn Transport>>>,
    heard: Sender<Message>,
    go_on: Mutex<Receiver<()>>,
}

impl Peer for Subscriber {
    fn on_open(&self, transport: Arc<dyn Transport>) {
        transport.send(decode(hello()));
        transport.send(decode(json!([32, 1, {}, "com.a"])));
        *self.transport.lock().unwrap() = Some(transport);
    }
    fn on_posted(&self, _: Message) {}
    fn on_message(&self, message: Message) {
        let is_event = matches!(message, Message::Event(_));
        let _ = self.heard.send(message);
        if is_event {
            let _ = self.go_on.lock().unwrap().recv_timeout(PATIENCE);
        }
    }
    fn on_close(&self) {}
}

/// A subscriber of this process at its first event: what it hears, and what it goes on without.
fn open_subscriber(served: &Served) -> (Receiver<Message>, Sender<()>, JoinHandle<()>) {
    let ((heard, hears), (let_go, go_on)) = (mpsc::channel(), mpsc::channel());
    let subscriber = Arc::new(Subscriber {
        transport: Mutex::default(),
        heard,
        go_on: Mutex::new(go_on),
    });
    let peer: Arc<dyn Peer> = subscriber.clone();
    open_local(&served.realm, &peer, ANONYMOUS, None, &mut []);
    let transport = subscriber.transport.lock().unwrap().clone().unwrap();
    // The first event is delivered on a thread of the test, so that no I/O thread stands still.
    let own = json!([16, 2, {"exclude_me": false}, "com.a"]);
    let delivering = thread::spawn(move || {
        transport.send(decode(own));
        drop(subscriber);
    });
    while !matches!(next(&hears), Message::Event(_)) {}
    (hears, let_go, delivering)
}

fn next(hears: &Receiver<Message>) -> Message {
    hears.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_publisher_waits_for_a_session_of_this_process_that_is_at_an_event_and_none_is_lost() {
    const EVENTS: usize = 40;
    let served = serve(options());
    let (hears, let_go, delivering) = open_subscriber(&served);
    // Far more than may wait for one subscriber.
    let mut publisher = served.join();
    let publishing = thread::spawn(move || {
        let text = "x".repeat(MIB);
        for n in 0..EVENTS {
            publisher.send(&json!([16, n + 1, {}, "com.a", [n, text]]));
        }
        publisher
    });
    served.wait_until(|_| served.realm.caused() > MIB);
    drop(let_go);
    for n in 0..EVENTS {
        let Message::Event(event) = next(&hears) else {
            panic!("not an EVENT");
        };
        let (at, _): (usize, String) = event.payload.args().unwrap();
        assert_eq!(at, n);
    }
    delivering.join().unwrap();
    publishing.join().unwrap();
    served.wait_until(|_| served.realm.caused() == 0);
}

/// Its answers to pings are not read meanwhile.
#[test]
fn a_publisher_that_has_to_wait_is_not_taken_for_dead() {
    const PINGS: u32 = 50;
    let interval = Duration::from_millis(20);
    let served = serve(WebSocketOptions {
        auto_ping_interval: Some(interval),
        auto_ping_timeout: Some(PINGS * interval / 2),
        ..options()
    });
    let (_hears, let_go, delivering) = open_subscriber(&served);
    let mut publisher = served.join();
    for n in 1..=3 {
        let text = "x".repeat(MIB / 2);
        publisher.send(&json!([16, n, {}, "com.a", [text]]));
    }
    served.wait_until(|_| served.realm.caused() > MIB);
    for _ in 0..PINGS {
        while !matches!(publisher.0.read().unwrap(), tungstenite::Message::Ping(_)) {}
    }
    drop(let_go);
    publisher.send(&json!([48, 4, {}, "com.nobody"]));
    assert_eq!(publisher.receive()[4], "wamp.error.no_such_procedure");
    delivering.join().unwrap();
}
