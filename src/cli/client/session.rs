//! The session of a command: dials a router once, joins, and gives what happens one after the other
//! to the thread that has asked for it. Must not know what it asks for.

use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use component::Classes;
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select, unbounded};
use reactor::{Mailbox, Reactor};
use wamp::{
    CallOptions, CancelMode, Event, HelloDetails, Identity, Interrupt, Invocation, Payload, Peer,
    PeerRoles, PublicationId, PublishOptions, RegisterOptions, RegistrationId, RequestId, Revoked,
    RpcFeatures, SubscribeOptions, SubscriptionId, Uri, Welcome, error_uri,
};
use wamp_client::{Client, End, Error, Handler, Limits};
use wamp_transport::{Dialler, Mail};

use super::{ConnectArgs, Failure, PATIENCE, address};
use crate::cli::{logging, signals};

/// How many events, parts and invocations may wait for the command. Then the connection waits, and
/// with it the router, which may end the session.
const WAITING: usize = 64;
/// How long the router may take to say GOODBYE.
const FAREWELL: Duration = Duration::from_secs(2);
/// How the command names itself to routers.
const AGENT: &str = concat!("wampgres-", env!("CARGO_PKG_VERSION"));

/// What has happened.
pub(in crate::cli) enum Told {
    Joined,
    /// The router cannot be reached.
    NotReached(String),
    Ended(End),
    /// To a call.
    Answered(Result<Payload, Error>),
    /// A part of an answer.
    Part(Payload),
    Published(Result<PublicationId, Error>),
    Subscribed(Result<SubscriptionId, Error>),
    Registered(Result<RegistrationId, Error>),
    Event(Event),
    Invocation(Box<Invocation>),
    Interrupt(RequestId),
    Revoked,
    /// A payload of the input, or its end, or what is wrong with it. The room that it takes is given
    /// back by [`Session::give_room`].
    Input(Result<Option<Payload>, String>),
    /// Look again at what is due.
    Look,
}

/// A session that is open.
pub(in crate::cli) struct Session {
    pub(in crate::cli) client: Arc<SessionClient>,
    teller: Teller,
    told: Receiver<Told>,
    taken: Receiver<()>,
    interrupted: Receiver<()>,
    dialler: Dialler,
    mailbox: Mailbox<Mail>,
    thread: JoinHandle<io::Result<()>>,
}

pub(in crate::cli) type SessionClient = Client<Owner>;

/// A way to tell the command something.
#[derive(Clone)]
pub(in crate::cli) struct Teller {
    told: Sender<Told>,
    room: Sender<()>,
}

impl Teller {
    /// Tells what was asked for.
    pub(in crate::cli) fn tell(&self, told: Told) {
        // A command that has ended hears nothing.
        let _ = self.told.send(told);
    }

    /// Tells what may come in any number, and waits while there is no room for it.
    pub(in crate::cli) fn tell_in_turn(&self, told: Told) {
        if self.room.send(()).is_ok() {
            self.tell(told);
        }
    }
}

/// Tells the command what the router says.
pub(in crate::cli) struct Owner(Teller);

impl Handler for Owner {
    fn on_join(&self, _: &Client<Self>, _: Welcome) {
        self.0.tell(Told::Joined);
    }

    fn on_invocation(&self, _: &Client<Self>, invocation: Invocation, _: Option<Arc<Identity>>) {
        self.0.tell_in_turn(Told::Invocation(invocation.into()));
    }

    fn on_interrupt(&self, _: &Client<Self>, interrupt: Interrupt) {
        self.0.tell_in_turn(Told::Interrupt(interrupt.request));
    }

    fn on_event(&self, _: &Client<Self>, event: Event) {
        self.0.tell_in_turn(Told::Event(event));
    }

    fn on_revoked(&self, _: &Client<Self>, _: Revoked) {
        self.0.tell(Told::Revoked);
    }

    fn on_end(&self, _: &Client<Self>, end: &End) {
        self.0.tell(Told::Ended(end.clone()));
    }
}

impl Session {
    /// Dials the router that the arguments name, and joins.
    ///
    /// # Blocking
    /// Until it is joined, or [`PATIENCE`] is over.
    pub(in crate::cli) fn open(args: &ConnectArgs, classes: &Classes) -> Result<Self, Failure> {
        let (target, realm) = address::of(args, classes)?;
        let url = target.url.clone();
        logging::start_for_client();
        let no_thread = |why: String| Failure::NoSession(format!("cannot start: {why}"));
        let interrupted = signals::first().map_err(|why| no_thread(why.to_string()))?;
        let (tell, told) = unbounded();
        let (room, taken) = bounded(WAITING);
        let teller = Teller { told: tell, room };
        let owner = Owner(teller.clone());
        let client = Client::new(realm.as_str().into(), details(), Limits::DEFAULT, owner);
        let mut reactor = Reactor::new().map_err(|why| no_thread(why.to_string()))?;
        reactor.wait_asleep();
        let mailbox = reactor.mailbox();
        let thread = std::thread::Builder::new().name("io-0".to_owned());
        let thread = thread.spawn(move || reactor.run());
        let thread = thread.map_err(|why| no_thread(why.to_string()))?;
        let peer: Arc<dyn Peer> = client.clone();
        let failed = teller.clone();
        let dialler = Dialler::once(
            target,
            mailbox.clone(),
            Box::new(move || peer.clone()),
            Box::new(move |why| failed.tell(Told::NotReached(why))),
        );
        let session = Self {
            client,
            teller,
            told,
            taken,
            interrupted,
            dialler,
            mailbox,
            thread,
        };
        match session.next(None) {
            Ok(Told::Joined) => Ok(session),
            outcome => {
                session.leave();
                let failure = outcome
                    .err()
                    .unwrap_or_else(|| not_joined("it says something else"));
                Err(failure.at(&url))
            }
        }
    }

    /// What happens next, until `deadline`.
    ///
    /// # Blocking
    /// Until something happens.
    pub(in crate::cli) fn next(&self, deadline: Option<Instant>) -> Result<Told, Failure> {
        let over = deadline.map_or_else(never, |deadline| {
            after(deadline.saturating_duration_since(Instant::now()))
        });
        let told = select! {
            recv(self.told) -> told => told.expect("the session has a sender of its own"),
            recv(self.interrupted) -> _ => return Err(Failure::Interrupted),
            recv(over) -> _ => return Err(Failure::TimedOut),
        };
        match told {
            Told::NotReached(why) => Err(Failure::NoSession(why)),
            Told::Ended(end) => Err(Failure::NoSession(format!("the session has ended: {end}"))),
            told => {
                if told.gives_room() {
                    self.give_room();
                }
                Ok(told)
            }
        }
    }

    /// Lets the next of those come that wait for their turn.
    pub(in crate::cli) fn give_room(&self) {
        let _ = self.taken.try_recv();
    }

    /// The same within [`PATIENCE`], which routers need for nothing but calls.
    pub(in crate::cli) fn answer(&self) -> Result<Told, Failure> {
        match self.next(Some(Instant::now() + PATIENCE)) {
            Err(Failure::TimedOut) => {
                Err(Failure::NoSession("the router does not answer".to_owned()))
            }
            other => other,
        }
    }

    /// Calls a procedure, and takes its answer in parts if it comes in such.
    pub(in crate::cli) fn call(
        &self,
        procedure: Uri,
        payload: Payload,
        in_parts: bool,
    ) -> Option<RequestId> {
        let answered = self.teller.clone();
        let on_result = move |result| answered.tell(Told::Answered(result));
        let options = CallOptions::default();
        if !in_parts {
            return self.client.call(procedure, options, payload, on_result);
        }
        let part = self.teller.clone();
        let on_part = move |payload| part.tell_in_turn(Told::Part(payload));
        let client = &self.client;
        client.call_progressive(procedure, options, payload, on_part, on_result)
    }

    pub(in crate::cli) fn cancel(&self, call: RequestId) {
        self.client.cancel(call, CancelMode::KillNoWait);
    }

    pub(in crate::cli) fn publish(&self, topic: Uri, options: PublishOptions, payload: Payload) {
        let published = self.teller.clone();
        let on_result = move |result| published.tell(Told::Published(result));
        (self.client).publish_acknowledged(topic, options, payload, on_result);
    }

    pub(in crate::cli) fn subscribe(&self, topic: Uri, options: SubscribeOptions) {
        let subscribed = self.teller.clone();
        let on_result = move |result| subscribed.tell(Told::Subscribed(result));
        self.client.subscribe(topic, options, on_result);
    }

    pub(in crate::cli) fn register(&self, procedure: Uri, options: RegisterOptions) {
        let registered = self.teller.clone();
        let on_result = move |result| registered.tell(Told::Registered(result));
        self.client.register(procedure, options, on_result);
    }

    /// For another thread to tell the command something.
    pub(in crate::cli) fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// Says GOODBYE, and ends the connection.
    ///
    /// # Blocking
    /// Until the router has answered, or for [`FAREWELL`].
    pub(in crate::cli) fn leave(self) {
        // What comes now is for nobody, and waits for nobody.
        drop((self.told, self.taken));
        self.client.leave(error_uri::CLOSE_REALM);
        self.dialler.join(Instant::now() + FAREWELL);
        self.mailbox.stop();
        // What it says of its end, nobody needs any more.
        let _ = self.thread.join();
    }
}

impl Told {
    /// Whether the next may come as soon as this one is taken.
    fn gives_room(&self) -> bool {
        match self {
            Self::Part(_) | Self::Event(_) | Self::Invocation(_) | Self::Interrupt(_) => true,
            Self::Joined
            | Self::NotReached(_)
            | Self::Ended(_)
            | Self::Answered(_)
            | Self::Published(_)
            | Self::Subscribed(_)
            | Self::Registered(_)
            | Self::Revoked
            | Self::Input(_)
            | Self::Look => false,
        }
    }
}

/// What the command says of itself in HELLO. How it authenticates belongs here.
fn details() -> HelloDetails {
    let caller = RpcFeatures {
        call_canceling: true,
        progressive_call_results: true,
        ..RpcFeatures::NONE
    };
    let callee = RpcFeatures {
        call_canceling: true,
        caller_identification: true,
        registration_revocation: true,
        interrupt_on_skip: true,
        ..RpcFeatures::NONE
    };
    HelloDetails {
        roles: PeerRoles {
            caller: Some(caller),
            callee: Some(callee),
            ..PeerRoles::ALL
        },
        agent: Some(AGENT.to_owned()),
        ..HelloDetails::default()
    }
}

fn not_joined(why: &str) -> Failure {
    Failure::NoSession(why.to_owned())
}

impl Failure {
    /// The same, with the router that it is about.
    fn at(self, url: &str) -> Self {
        match self {
            // A ticket may stand in its query.
            Self::NoSession(why) => {
                let shown = url.split('?').next().unwrap_or_default();
                Self::NoSession(format!("no session at {shown}: {why}"))
            }
            other => other,
        }
    }
}
