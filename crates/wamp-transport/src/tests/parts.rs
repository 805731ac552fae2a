//! When a part of an answer counts as taken: by a connection that reads and by one that does not, by
//! a session of this process, by nobody, and by another router.

use std::sync::{
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

use super::*;
use crate::client::tests::{accept_websocket, target};
use wamp::{ANONYMOUS, Invocation, Message, Payload, Receipt, RequestId, Yield, YieldOptions};

const SIZE: usize = 100 << 10;
/// More than any kernel holds.
const MOST: usize = 10_000;

/// A callee that hands its way to the router and its invocations to the test.
struct Callee {
    hand: mpsc::Sender<Arc<dyn Transport>>,
    invoked: mpsc::Sender<RequestId>,
}

impl Peer for Callee {
    fn on_open(&self, transport: Arc<dyn Transport>) {
        let features = json!({"progressive_call_results": true, "call_canceling": true});
        let roles = json!({"caller": {}, "callee": {"features": features}});
        transport.send(decode(json!([1, "realm1", {"roles": roles}])));
        transport.send(decode(json!([64, 1, {}, "com.parts"])));
        self.hand.send(transport).unwrap();
    }
    fn on_posted(&self, _: Message) {}
    fn on_message(&self, _: Message) {}
    fn on_invocation(&self, invocation: Invocation, _: Arc<wamp::Identity>) {
        let _ = self.invoked.send(invocation.request);
    }
    fn on_close(&self) {}
}

/// What sends parts.
struct Parts {
    transport: Arc<dyn Transport>,
    taken: Arc<AtomicUsize>,
}

impl Parts {
    fn new(transport: Arc<dyn Transport>) -> Self {
        let taken = Arc::default();
        Self { transport, taken }
    }

    fn send(&self, request: RequestId) {
        let part = Yield {
            request,
            options: YieldOptions { progress: true },
            payload: Payload::from_args(&["x".repeat(SIZE)]).unwrap(),
        };
        let taken = self.taken.clone();
        let receipt = Receipt::new(move || {
            taken.fetch_add(1, Ordering::SeqCst);
        });
        self.transport.send_part(part, receipt);
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    fn wait_for(&self, taken: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.taken() < taken {
            assert!(Instant::now() < deadline, "{} of {taken}", self.taken());
            thread::yield_now();
        }
    }

    /// Sends parts until one of them is not taken for long, because the kernel's buffers are full. How
    /// many that were.
    fn fill(&self, request: RequestId) -> usize {
        let before = self.taken();
        let mut sent = 0;
        while sent < MOST {
            self.send(request);
            sent += 1;
            let moment = Instant::now() + Duration::from_secs(1);
            while self.taken() < before + sent {
                if Instant::now() > moment {
                    return sent;
                }
                thread::yield_now();
            }
        }
        panic!("{sent} parts are taken without an end")
    }
}

/// A realm with such a callee.
fn streaming() -> (Served, Parts, mpsc::Receiver<RequestId>) {
    let served = serve(options());
    let ((hand, handed), (invoked, invocations)) = (mpsc::channel(), mpsc::channel());
    let peer: Arc<dyn Peer> = Arc::new(Callee { hand, invoked });
    open_local(&served.realm, &peer, ANONYMOUS, None, &mut []);
    let parts = Parts::new(handed.recv().unwrap());
    (served, parts, invocations)
}

fn call(caller: &mut Client, invocations: &mpsc::Receiver<RequestId>) -> RequestId {
    caller.send(&json!([48, 1, {"receive_progress": true}, "com.parts"]));
    invocations.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_connection_that_does_not_read_has_not_taken_its_parts_and_another_has() {
    let (served, parts, invocations) = streaming();
    let [mut slow, mut reading] = [(); 2].map(|()| served.join());
    let (of_slow, of_reading) = (
        call(&mut slow, &invocations),
        call(&mut reading, &invocations),
    );
    let sent = parts.fill(of_slow);
    assert_eq!(parts.taken(), sent - 1);
    for n in 0..10 {
        parts.send(of_reading);
        assert_eq!(reading.receive()[2], json!({"progress": true}));
        parts.wait_for(sent + n);
    }
    for _ in 0..sent {
        assert_eq!(slow.receive()[0], 50);
    }
    parts.wait_for(sent + 10);
}

#[test]
fn a_part_that_nobody_waits_for_is_taken_at_once_and_so_is_one_of_a_connection_that_ends() {
    let (served, parts, invocations) = streaming();
    let [mut one, mut other] = [(); 2].map(|()| served.join());
    let of_one = call(&mut one, &invocations);
    one.send(&json!([49, 1, {"mode": "killnowait"}]));
    assert_eq!(one.receive()[4], "wamp.error.canceled");
    parts.send(of_one);
    assert_eq!(parts.taken(), 1);

    let of_other = call(&mut other, &invocations);
    parts.taken.store(0, Ordering::SeqCst);
    let sent = parts.fill(of_other);
    drop(other);
    parts.wait_for(sent);
    served.wait_until(|stats| stats.sessions == 2);
    parts.send(of_other);
    assert_eq!(parts.taken(), sent + 1);
}

#[test]
fn a_session_of_this_process_has_taken_a_part_when_it_has_had_it() {
    let (served, parts, invocations) = streaming();
    let caller = Arc::new(Noted::default());
    let peer: Arc<dyn Peer> = caller.clone();
    open_local(&served.realm, &peer, ANONYMOUS, None, &mut []);
    let transport = caller.transport.lock().unwrap().clone().unwrap();
    let options = json!({"receive_progress": true});
    transport.send(decode(json!([48, 1, options, "com.parts"])));
    let request = invocations.recv_timeout(PATIENCE).unwrap();
    for taken in 1..=3 {
        parts.send(request);
        assert_eq!(parts.taken(), taken);
        assert_eq!(caller.told.lock().unwrap().len(), 1 + taken);
    }
}

#[test]
fn a_router_that_does_not_read_has_not_taken_what_it_is_sent() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    let dialling = thread::spawn(move || reactor.run());
    let (hand, handed) = mpsc::channel();
    let make_peer: MakePeer = Box::new(move || {
        let (hand, invoked) = (hand.clone(), mpsc::channel().0);
        Arc::new(Callee { hand, invoked })
    });
    let target = target(socket.local_addr().unwrap());
    let dialler = Dialler::start(target, mailbox.clone(), make_peer);
    let mut router = accept_websocket(socket.accept().unwrap().0);
    let parts = Parts::new(handed.recv_timeout(PATIENCE).unwrap());
    let sent = parts.fill(RequestId::FIRST);
    assert_eq!(parts.taken(), sent - 1);
    // HELLO and REGISTER come first.
    for _ in 0..sent + 2 {
        router.read().unwrap();
    }
    parts.wait_for(sent);

    // What is on its way when the connection is lost is for nobody.
    let sent = sent + parts.fill(RequestId::FIRST);
    drop((socket, router));
    parts.wait_for(sent);
    dialler.join(Instant::now() + PATIENCE);
    mailbox.stop();
    dialling.join().unwrap().unwrap();
}
