//! Who learns who calls, of three callees in one realm: in this process, on a connection, dialled.

use std::sync::mpsc::{self, Receiver, Sender};

use super::*;
use crate::client::tests::target;
use wamp::{ANONYMOUS, AuthMethod, Identity, Invocation, Message, TransportKind};

type Told = (Message, Option<Arc<Identity>>);

/// A callee that hands on what it is told, and with an invocation who calls.
struct Callee {
    procedure: &'static str,
    told: Sender<Told>,
}

impl Peer for Callee {
    fn on_open(&self, transport: Arc<dyn Transport>) {
        transport.send(decode(hello()));
        transport.send(decode(json!([64, 1, {}, self.procedure])));
    }
    fn on_posted(&self, _: Message) {}
    fn on_message(&self, message: Message) {
        let _ = self.told.send((message, None));
    }
    fn on_invocation(&self, invocation: Invocation, caller: Arc<Identity>) {
        let _ = self.told.send((invocation.into(), Some(caller)));
    }
    fn on_close(&self) {}
}

fn callee(procedure: &'static str) -> (Arc<dyn Peer>, Receiver<Told>) {
    let (told, hears) = mpsc::channel();
    (Arc::new(Callee { procedure, told }), hears)
}

/// What a callee is told after WELCOME and REGISTERED.
fn invocation(hears: &Receiver<Told>) -> (Invocation, Option<Arc<Identity>>) {
    for _ in 0..2 {
        hears.recv_timeout(PATIENCE).unwrap();
    }
    match hears.recv_timeout(PATIENCE).unwrap() {
        (Message::Invocation(invocation), caller) => (invocation, caller),
        other => panic!("not an INVOCATION: {other:?}"),
    }
}

#[test]
fn a_callee_of_this_process_learns_who_calls_and_others_what_is_disclosed() {
    let served = serve(options());
    let (peer, here) = callee("com.here");
    open_local(&served.realm, &peer, ANONYMOUS, None, &mut []);
    let (peer, dialled) = callee("com.dialled");
    let make_peer: MakePeer = Box::new(move || peer.clone());
    let dialler = Dialler::start(target(served.address), served.mailbox.clone(), make_peer);
    let mut connected = served.join();
    connected.register("com.connected");
    served.wait_until(|stats| stats.registrations == 3);

    let mut caller = served.open();
    caller.send(&hello());
    let welcome = caller.receive();
    for (request, procedure) in [(1, "com.here"), (2, "com.dialled"), (3, "com.connected")] {
        caller.send(&json!([48, request, {}, procedure]));
    }

    let (undisclosed, identity) = invocation(&here);
    assert_eq!(undisclosed.details.caller, None);
    let identity = identity.expect("who calls");
    let session = welcome[1].as_u64();
    assert_eq!(Some(identity.session.value()), session);
    assert_eq!(identity.authid.as_deref(), welcome[2]["authid"].as_str());
    assert_eq!(identity.authrole.as_deref(), Some(ANONYMOUS));
    assert_eq!(identity.authmethod, Some(AuthMethod::Anonymous));
    assert_eq!(identity.transport, Some(TransportKind::WebSocket));

    let (undisclosed, nobody) = invocation(&dialled);
    assert_eq!((undisclosed.details.caller.as_ref(), nobody), (None, None));
    assert_eq!(connected.receive()[3], json!({}));
    dialler.join(Instant::now() + PATIENCE);
}
