//! Clients that read at once, slowly or with pauses call and publish at random, beside one that reads
//! nothing.

use std::sync::{Condvar, mpsc};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::*;

const CLIENTS: usize = 4;
const MESSAGES: usize = 150;

/// Who reads is dropped as well when four times `outbox_limit` waits for it, and a reader may have to
/// wait for a processor. So either each has no more than `open` messages that others have not heard
/// yet and results are short, or the limit is a quarter of what anybody is sent in all: 300 events of
/// others of 20 KB each, and some 75 invocations and 75 results.
struct Way {
    outbox_limit: usize,
    open: usize,
    /// How many of its arguments a call is answered with.
    answered: usize,
}

const WAYS: [Way; 2] = [
    Way {
        outbox_limit: 128 << 10,
        open: 2,
        answered: 2,
    },
    Way {
        outbox_limit: 5 << 19,
        open: MESSAGES,
        answered: 3,
    },
];

/// So much the kernel takes at either end of a connection, about: what waits is to wait in the node.
const KERNEL: usize = 32 << 10;

fn serve_narrow(options: WebSocketOptions) -> Served {
    let socket = bind("127.0.0.1".parse().unwrap(), 0, 64).unwrap();
    // Those that it accepts have it of it.
    let narrow = socket2::SockRef::from(&socket);
    narrow.set_send_buffer_size(KERNEL).unwrap();
    serve_on(socket, MANY, options, PATIENCE)
}

/// How many have to hear each message of each client yet.
#[derive(Clone)]
struct Open(Arc<(Mutex<[[usize; MESSAGES]; CLIENTS]>, Condvar)>);

impl Open {
    fn new() -> Self {
        let nothing = Mutex::new([[0; MESSAGES]; CLIENTS]);
        Self(Arc::new((nothing, Condvar::new())))
    }

    /// So many have to hear the nth message of this client.
    fn set(&self, of: usize, n: usize, hearers: usize) {
        self.0.0.lock().unwrap()[of][n] = hearers;
    }

    /// One of them has heard it.
    fn heard(&self, of: usize, n: usize) {
        let mut open = self.0.0.lock().unwrap();
        if let Some(hearers) = open[of].get_mut(n) {
            *hearers -= 1;
            self.0.1.notify_all();
        }
    }

    /// Waits until all have heard it.
    fn wait_for(&self, of: usize, n: usize) {
        let open = self.0.0.lock().unwrap();
        let is_open = |open: &mut [[usize; MESSAGES]; CLIENTS]| open[of][n] > 0;
        let waited = self.0.1.wait_timeout_while(open, PATIENCE, is_open);
        assert!(!waited.unwrap().1.timed_out(), "nobody hears {n} of {of}");
    }
}

#[test]
fn each_call_is_answered_once_all_keeps_its_order_and_no_reader_is_dropped() {
    for (seed, way) in (0..4).zip(WAYS.iter().cycle()) {
        let served = serve_narrow(WebSocketOptions {
            outbox_limit: way.outbox_limit,
            ..options()
        });
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| served.join()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            let narrow = socket2::SockRef::from(client.0.get_ref());
            narrow.set_recv_buffer_size(KERNEL).unwrap();
            client.register(&format!("com.a.{n}"));
            client.send(&json!([32, 2, {}, "com.topic"]));
            assert_eq!(client.receive()[0], 33);
        }
        let mut stopped = served.join();
        for topic in ["com.topic", "com.more"] {
            stopped.send(&json!([32, 1, {}, topic]));
            assert_eq!(stopped.receive()[0], 33);
        }
        let done = AtomicUsize::new(0);
        let open = Open::new();
        let mut lived: Vec<_> = thread::scope(|scope| {
            let spawn = |(me, client)| {
                let random = SmallRng::seed_from_u64(seed * 100 + me as u64);
                let (both, open, done) = ([client, served.join()], open.clone(), &done);
                scope.spawn(move || live(me, both, random, way, &open, done))
            };
            let ends: Vec<_> = clients.into_iter().enumerate().map(spawn).collect();
            ends.into_iter().map(|end| end.join().unwrap()).collect()
        });
        // Whoever reads nothing is dropped in the end.
        let text = "x".repeat(way.outbox_limit);
        while served.realm.stats().sessions > 2 * CLIENTS {
            let publisher = &mut lived[0][1];
            publisher.send(&json!([16, 1, {"acknowledge": true}, "com.more", [text]]));
            assert_eq!(publisher.receive()[0], 17);
        }
        let stats = served.realm.stats();
        assert_eq!(stats.sessions, 2 * CLIENTS, "who reads is there: {seed}");
        assert_eq!(
            (stats.pending_invocations, stats.queued_calls),
            (0, 0),
            "seed {seed}"
        );
        served.wait_until(|_| served.realm.caused() == 0);
        drop((lived, stopped));
        served.wait_until(|stats| stats.sessions == 0);
    }
}

/// What one client does and checks, until all have heard all and their calls are answered. While it
/// does not read, the one beside it is served so many times.
fn live(
    me: usize,
    [mut client, mut beside]: [Client; 2],
    mut random: SmallRng,
    way: &'static Way,
    open: &Open,
    done: &AtomicUsize,
) -> [Client; 2] {
    let sent = choose(me, &mut random, open);
    let calls = sent.iter().filter(|message| message[0] == 48);
    let mut unanswered: HashSet<u64> = calls.map(|call| call[1].as_u64().unwrap()).collect();
    let (answers, to_send) = mpsc::channel();
    let in_turn = {
        let open = open.clone();
        move |(n, message): (usize, Value)| {
            if let Some(before) = n.checked_sub(way.open) {
                open.wait_for(me, before);
            }
            message
        }
    };
    let sent = sent.into_iter().enumerate().map(in_turn);
    // An answer may wait behind what is sent: the node has to cope with that.
    let writing = send_all(&client, sent.chain(to_send));
    let (mut heard, mut asked) = ([None; CLIENTS], [None; CLIENTS]);
    while let Some(message) = client.receive_until(done, CLIENTS) {
        if random.random_bool(0.02) {
            for n in 1..random.random_range(1..40) {
                beside.send(&call(n, "com.nobody", 1));
                assert_eq!(beside.receive()[4], "wamp.error.no_such_procedure");
            }
        }
        match message[0].as_u64().unwrap() {
            50 => assert!(unanswered.remove(&message[1].as_u64().unwrap())),
            36 => come(&mut heard, &message, open),
            68 => {
                come(&mut asked, &message, open);
                let arguments = &message[4].as_array().unwrap()[..way.answered];
                answers
                    .send(json!([70, message[1], {}, arguments]))
                    .unwrap();
            }
            _ => panic!("{message}"),
        }
        let has_heard_all = heard.iter().all(|at| *at == Some(MESSAGES));
        if unanswered.is_empty() && has_heard_all && message[0] != 68 {
            done.fetch_add(1, Ordering::SeqCst);
        }
    }
    drop(answers);
    writing.join().unwrap();
    [client, beside]
}

/// What a client is to send: calls and events of all lengths, and one that all hear.
fn choose(me: usize, random: &mut SmallRng, open: &Open) -> Vec<Value> {
    let last = json!([16, MESSAGES + 10, {"exclude_me": false}, "com.topic", [me, MESSAGES, ""]]);
    (0..MESSAGES)
        .map(|n| {
            let len = [10, 1000, 60_000][random.random_range(0..3)];
            if random.random_bool(0.5) {
                open.set(me, n, 1);
                let procedure = format!("com.a.{}", random.random_range(0..CLIENTS));
                json!([48, n + 10, {}, procedure, [me, n, "x".repeat(len)]])
            } else {
                open.set(me, n, CLIENTS - 1);
                json!([16, n + 10, {}, "com.topic", [me, n, "x".repeat(len)]])
            }
        })
        .chain([last])
        .collect()
}

/// What one sends to another comes in its order.
fn come(latest: &mut [Option<usize>; CLIENTS], message: &Value, open: &Open) {
    let [from, at] = [0, 1].map(|n| message[4][n].as_u64().unwrap() as usize);
    let before = latest[from].replace(at);
    assert!(before < Some(at), "{before:?} and then {at}");
    open.heard(from, at);
}
