//! Who waits and who is dropped: callers and publishers that send faster than others read, clients
//! that read slowly or not at all, and messages that do not end.

mod random;

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

const SHORT: Duration = Duration::from_millis(300);

fn options_with(slow: Duration) -> WebSocketOptions {
    WebSocketOptions {
        outbox_limit: 64 << 10,
        slow_client_timeout: Some(slow),
        ..options()
    }
}

fn call(request: usize, procedure: &str, len: usize) -> Value {
    json!([48, request, {}, procedure, ["x".repeat(len)]])
}

/// Whoever sends without an end, on a thread of its own.
fn send_all(
    client: &Client,
    messages: impl Iterator<Item = Value> + Send + 'static,
) -> JoinHandle<()> {
    let stream = client.0.get_ref().try_clone().unwrap();
    thread::spawn(move || {
        let role = tungstenite::protocol::Role::Client;
        let mut socket = WebSocket::from_raw_socket(stream, role, None);
        for message in messages {
            if (socket.send(tungstenite::Message::text(message.to_string()))).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_burst_of_calls_makes_its_caller_wait_and_all_are_answered() {
    const CALLS: usize = 400;
    let served = serve(options_with(PATIENCE));
    let (mut callee, mut caller) = (served.join(), served.join());
    callee.register("com.a.echo");
    let sending = send_all(&caller, (1..=CALLS).map(|n| call(n, "com.a.echo", 40_000)));
    let answering = thread::spawn(move || {
        for _ in 0..=CALLS {
            let invocation = callee.receive();
            callee.send(&json!([70, invocation[1], {}, invocation[4]]));
        }
        callee
    });
    let answered: HashSet<_> = (0..CALLS)
        .map(|_| {
            let answer = caller.receive();
            assert_eq!(answer[0], 50);
            answer[1].as_u64().unwrap()
        })
        .collect();
    assert_eq!(answered.len(), CALLS);
    sending.join().unwrap();
    caller.send(&call(CALLS + 1, "com.a.echo", 1));
    assert_eq!(caller.receive()[0], 50, "the callee is still there");
    drop(answering.join().unwrap());
}

#[test]
fn a_callee_that_reads_nothing_makes_its_caller_wait_and_nobody_else() {
    let served = serve(WebSocketOptions {
        outbox_limit: 256 << 20,
        slow_client_timeout: Some(SHORT),
        ..options()
    });
    let [mut deaf, mut callee, mut caller, mut other] = [(); 4].map(|()| served.join());
    deaf.register("com.a.deaf");
    callee.register("com.a.echo");
    const CALLS: usize = 200;
    // Far more than the kernel takes for the one that reads nothing.
    let sending = send_all(&caller, (1..=CALLS).map(|n| call(n, "com.a.deaf", 100_000)));
    for n in 1..=50 {
        other.send(&call(n, "com.a.echo", 10));
        let invocation = callee.receive();
        callee.send(&json!([70, invocation[1], {}]));
        assert_eq!(other.receive()[1], n);
    }
    // What finds no room is answered in the end, and the callee keeps its registration.
    let refused = caller.receive();
    assert_eq!(refused[4], "wamp.error.unavailable", "{refused}");
    assert_eq!(served.realm.stats().sessions, 4);
    let mut answered = HashSet::from([refused[2].as_u64().unwrap()]);
    drop(deaf);
    while answered.len() < CALLS {
        let answer = caller.receive();
        assert_eq!(answer[0], 8);
        assert!(answered.insert(answer[2].as_u64().unwrap()), "{answer}");
    }
    sending.join().unwrap();
    served.wait_until(|stats| stats.sessions == 3);
}

#[test]
fn two_that_call_each_other_and_read_nothing_before_all_is_sent_get_an_answer_for_each_call() {
    const CALLS: usize = 60;
    let served = serve(WebSocketOptions {
        slow_client_timeout: Some(SHORT),
        ..options()
    });
    let mut both = [served.join(), served.join()];
    both[0].register("com.a.0");
    both[1].register("com.a.1");
    let done = AtomicUsize::new(0);
    let talk = |(me, mut client): (usize, Client)| {
        let procedure = format!("com.a.{}", 1 - me);
        for n in 1..=CALLS {
            client.send(&call(n, &procedure, 200_000));
        }
        let (mut answered, mut refused) = (HashSet::new(), 0);
        while let Some(message) = client.receive_until(&done, 2) {
            match message[0].as_u64().unwrap() {
                68 => client.send(&json!([70, message[1], {}])),
                code => {
                    let at = if code == 50 { 1 } else { 2 };
                    refused += usize::from(code == 8);
                    assert!(answered.insert(message[at].as_u64().unwrap()));
                }
            }
            if answered.len() == CALLS && message[0] != 68 {
                done.fetch_add(1, Ordering::SeqCst);
            }
        }
        (client, refused)
    };
    let talk = &talk;
    let refused: usize = thread::scope(|scope| {
        let talks = both.into_iter().enumerate();
        let talks: Vec<_> = talks.map(|one| scope.spawn(move || talk(one))).collect();
        let ends: Vec<_> = talks.into_iter().map(|talk| talk.join().unwrap()).collect();
        ends.iter().map(|(_, refused)| refused).sum()
    });
    assert!(
        refused > 0,
        "nobody had to be refused: the kernel has taken all"
    );
}

impl Client {
    /// The next message, or `None` when so many are done.
    fn receive_until(&mut self, done: &AtomicUsize, all: usize) -> Option<Value> {
        let brief = Some(Duration::from_millis(20));
        self.0.get_ref().set_read_timeout(brief).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while done.load(Ordering::SeqCst) < all {
            match self.0.read() {
                Ok(message) => {
                    return Some(serde_json::from_str(message.to_text().unwrap()).unwrap());
                }
                Err(tungstenite::Error::Io(error)) if is_timeout(&error) => {}
                Err(error) => panic!("{error}"),
            }
            assert!(Instant::now() < deadline, "nothing comes");
        }
        None
    }
}

#[test]
fn who_reads_nothing_or_next_to_nothing_is_dropped_in_time_and_who_reads_is_not() {
    let served = serve(options_with(SHORT));
    let [mut deaf, mut trickling, mut reading, mut publisher] = [(); 4].map(|()| served.join());
    for subscriber in [&mut deaf, &mut trickling, &mut reading] {
        subscriber.send(&json!([32, 1, {}, "com.a"]));
        assert_eq!(subscriber.receive()[0], 33);
    }
    // Less than the hard limit is left of what the kernel does not take: it is a matter of time.
    let text = "x".repeat(16 << 10);
    let mut published = 0;
    let mut octet = [0];
    while served.realm.stats().sessions > 2 {
        published += 1;
        publisher.send(&json!([16, published, {"acknowledge": true}, "com.a", [text]]));
        assert_eq!(publisher.receive()[0], 17);
        assert_eq!(reading.receive()[4][0], text);
        let _ = trickling.0.get_ref().read(&mut octet);
    }
    publisher.send(&json!([16, published + 1, {}, "com.a", ["last"]]));
    assert_eq!(reading.receive()[4], json!(["last"]));
}

#[test]
fn a_client_over_its_limit_that_reads_nothing_is_dropped_by_time_alone() {
    let served = serve(WebSocketOptions {
        outbox_limit: 4 << 20,
        slow_client_timeout: Some(SHORT),
        ..options()
    });
    let (mut deaf, mut publisher) = (served.join(), served.join());
    deaf.send(&json!([32, 1, {}, "com.a"]));
    assert_eq!(deaf.receive()[0], 33);
    // More than the kernel takes and the limit, less than four times the limit.
    let text = "x".repeat(4 << 20);
    for n in 1..=3 {
        publisher.send(&json!([16, n, {}, "com.a", [text]]));
    }
    served.wait_until(|stats| stats.sessions == 1);
    drop(deaf);
}

#[test]
fn a_client_that_reads_all_the_time_is_kept_however_long_it_takes() {
    const EVENTS: u64 = 20;
    const TIMEOUT: Duration = Duration::from_secs(1);
    let served = serve(WebSocketOptions {
        outbox_limit: 6 << 20,
        slow_client_timeout: Some(TIMEOUT),
        ..options()
    });
    let [mut slow, mut publisher, mut other] = [(); 3].map(|()| served.join());
    // A kernel tells of room in a large buffer only when much of it is free.
    let small = socket2::SockRef::from(slow.0.get_ref());
    small.set_recv_buffer_size(256 << 10).unwrap();
    slow.send(&json!([32, 1, {}, "com.a"]));
    assert_eq!(slow.receive()[0], 33);
    let publishing = thread::spawn(move || {
        let text = "x".repeat(1 << 20);
        for n in 1..=EVENTS {
            publisher.send(&json!([16, n, {"acknowledge": true}, "com.a", [n, text]]));
            assert_eq!(publisher.receive()[0], 17);
        }
        publisher
    });
    // In each quarter of the time some more: all that waits would take five times the time.
    let mut stream = slow.0.get_ref().try_clone().unwrap();
    let (began, mut read) = (Instant::now(), Vec::new());
    for turn in 1..=10 {
        let mut part = vec![0; 256 << 10];
        stream.read_exact(&mut part).unwrap();
        read.extend(part);
        while began.elapsed() < turn * TIMEOUT / 4 {
            other.send(&call(1, "com.nobody", 1));
            assert_eq!(other.receive()[4], "wamp.error.no_such_procedure");
        }
    }
    let _publisher = publishing.join().unwrap();
    assert_eq!(served.realm.stats().sessions, 3, "it is kept");
    let role = tungstenite::protocol::Role::Client;
    slow = Client(WebSocket::from_partially_read(stream, read, role, None));
    for n in 1..=3 {
        assert_eq!(slow.receive()[4][0], n);
    }
    // It reads no more.
    served.wait_until(|stats| stats.sessions == 2);
}

#[test]
fn a_message_that_does_not_end_ends_its_session_whatever_trickles_in() {
    let served = serve(WebSocketOptions {
        message_timeout: Some(SHORT),
        ..options()
    });
    let mut client = served.join();
    let mut stream = client.0.get_ref().try_clone().unwrap();
    // The head of a message of 1 MiB, a bit of it at a time, and pings between fragments.
    stream.write_all(&[0x01, 0x81, 0, 0, 0, 0, b'[']).unwrap();
    while served.realm.stats().sessions == 1 {
        let _ = stream.write_all(&frame(9, b""));
        let _ = stream.write_all(&[0x00, 0x81, 0, 0, 0, 0, b' ']);
        thread::yield_now();
    }
    let frame = loop {
        match client.0.read().unwrap() {
            tungstenite::Message::Close(frame) => break frame.unwrap(),
            tungstenite::Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(frame.code, CloseCode::Policy);
    assert!(frame.reason.contains("message_timeout"), "{frame:?}");
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
