//! Sessions of this process that guard topics, and connections whose requests wait for them.

use std::sync::mpsc::{self, Receiver, Sender};

use super::*;
use wamp::{
    ANONYMOUS, Denial, GuardId, Message, Pattern, Payload, Question, Ticket, TransportKind,
};

/// Guards `com.guarded`, and hands on what it is asked.
struct Guarding {
    transport: Mutex<Option<Arc<dyn Transport>>>,
    asked: Sender<Result<Question, Ticket>>,
}

impl Peer for Guarding {
    fn on_open(&self, transport: Arc<dyn Transport>) {
        transport.send(decode(hello()));
        assert!(transport.guard(GuardId(7), Pattern::exact("com.guarded")));
        *self.transport.lock().unwrap() = Some(transport);
    }
    fn on_posted(&self, _: Message) {}
    fn on_message(&self, _: Message) {}
    fn on_question(&self, question: Question) {
        self.asked.send(Ok(question)).unwrap();
    }
    fn on_withdrawn(&self, question: Ticket) {
        self.asked.send(Err(question)).unwrap();
    }
    fn on_close(&self) {}
}

struct Guarded {
    served: Served,
    transport: Arc<dyn Transport>,
    hears: Receiver<Result<Question, Ticket>>,
}

fn guarded() -> Guarded {
    let served = serve(options());
    let (asked, hears) = mpsc::channel();
    let guarding = Arc::new(Guarding {
        transport: Mutex::default(),
        asked,
    });
    let peer: Arc<dyn Peer> = guarding.clone();
    open_local(&served.realm, &peer, ANONYMOUS, None, &mut []);
    let transport = guarding.transport.lock().unwrap().clone().unwrap();
    Guarded {
        served,
        transport,
        hears,
    }
}

impl Guarded {
    fn asked(&self) -> Question {
        let asked = self.hears.recv_timeout(PATIENCE).unwrap();
        asked.expect("a question")
    }
}

#[test]
fn a_guard_learns_who_subscribes_and_may_answer_from_any_thread() {
    let guarded = guarded();
    let mut client = guarded.served.open();
    client.send(&hello());
    let session = client.receive()[1].as_u64();
    client.send(&json!([32, 1, {}, "com.guarded"]));
    client.send(&json!([32, 2, {}, "com.open"]));
    let question = guarded.asked();
    assert_eq!(
        (question.guard, question.topic.as_str()),
        (GuardId(7), "com.guarded")
    );
    assert_eq!(Some(question.identity.session.value()), session);
    assert_eq!(question.identity.transport, Some(TransportKind::WebSocket));
    guarded.transport.answer_question(question.ticket, Ok(()));
    assert_eq!(begin(&client.receive()), [33, 1]);
    assert_eq!(begin(&client.receive()), [33, 2]);

    client.send(&json!([32, 3, {}, "com.guarded"]));
    let denial = Denial {
        error: "com.no".into(),
        payload: Payload::from_args(&["why"]).unwrap(),
    };
    let verdict = Err(denial.into());
    (guarded.transport).answer_question(guarded.asked().ticket, verdict);
    assert_eq!(client.receive(), json!([8, 32, 3, {}, "com.no", ["why"]]));

    client.send(&json!([32, 4, {}, "com.guarded"]));
    let question = guarded.asked();
    drop(client);
    let withdrawn = guarded.hears.recv_timeout(PATIENCE).unwrap();
    assert_eq!(withdrawn.unwrap_err(), question.ticket);
    guarded.transport.answer_question(question.ticket, Ok(()));

    guarded.transport.end_guard(GuardId(7));
    let mut client = guarded.served.join();
    client.send(&json!([32, 1, {}, "com.guarded"]));
    assert_eq!(client.receive()[0], 33);
}

#[test]
fn a_session_of_which_much_waits_is_not_read_from_and_nothing_of_it_is_lost() {
    const EVENTS: u64 = 3_000;
    let guarded = guarded();
    let served = &guarded.served;
    let (mut client, mut other, mut subscriber) = (served.join(), served.join(), served.join());
    subscriber.send(&json!([32, 1, {}, "com.topic"]));
    assert_eq!(subscriber.receive()[0], 33);
    client.send(&json!([32, 1, {}, "com.guarded"]));
    let question = guarded.asked();
    let stream = client.0.get_ref().try_clone().unwrap();
    let publishing = thread::spawn(move || {
        let mut writing =
            WebSocket::from_raw_socket(stream, tungstenite::protocol::Role::Client, None);
        for n in 0..EVENTS {
            let options = json!({"acknowledge": true});
            let text = json!([16, n + 2, options, "com.topic", [n]]).to_string();
            writing.send(tungstenite::Message::text(text)).unwrap();
        }
    });
    served.wait_until(|stats| stats.waiting_requests >= 256);
    // Others are served all the while.
    for request in 1..200 {
        other.send(&json!([48, request, {}, "com.nobody"]));
        assert_eq!(other.receive()[4], "wamp.error.no_such_procedure");
    }
    let waiting = served.realm.stats().waiting_requests;
    assert!((256..300).contains(&waiting), "{waiting} were read");
    guarded.transport.answer_question(question.ticket, Ok(()));
    assert_eq!(begin(&client.receive()), [33, 1]);
    for n in 0..EVENTS {
        assert_eq!(begin(&client.receive()), [17, n + 2]);
        assert_eq!(subscriber.receive()[4], json!([n]));
    }
    publishing.join().unwrap();
    served.wait_until(|stats| stats.waiting_requests == 0 && served.realm.caused() == 0);
}

/// The type of an answer, and its request.
fn begin(message: &Value) -> [u64; 2] {
    [0, 1].map(|at| message[at].as_u64().unwrap())
}
