//! Prints how long a router holds its realm for one input, mostly and at worst, while sessions fill
//! its tables and when they leave. By default they make a million entries. Must not know how the tables are made.
//!
//! `cargo run --release -p wamp-router --example tables [SESSIONS [ENTRIES]]`

use std::time::{Duration, Instant};

use wamp::{
    ANONYMOUS, Message, PublicationId, Register, RequestId, Serializer, SessionId, Subscribe,
    TransportKind, Uri,
};
use wamp_router::{
    Allow, IdSource, Input, Limits, MatchPolicy, Output, PeerId, Permission, RealmOptions, Role,
    Router,
};

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|a| a.parse().expect("a number"));
    let sessions = arguments.next().unwrap_or(16);
    let entries = arguments.next().unwrap_or(65_536);
    println!("{sessions} sessions with {entries} entries each:");
    let subscribe = |request, topic| {
        let options = Default::default();
        Subscribe {
            request,
            options,
            topic,
        }
        .into()
    };
    measure("subscriptions", sessions, entries, subscribe);
    let register = |request, procedure| {
        let options = Default::default();
        Register {
            request,
            options,
            procedure,
        }
        .into()
    };
    measure("registrations", sessions, entries, register);
}

/// Lets each session make its entries, and then leave.
fn measure(what: &str, sessions: u64, entries: u64, make: impl Fn(RequestId, Uri) -> Message) {
    let mut realm = Realm::new();
    for session in 1..=sessions {
        realm.join(PeerId(session));
    }
    let (mut added, mut left) = (Times::default(), Times::default());
    for entry in 1..=entries {
        for session in 1..=sessions {
            let uri = Uri::from(format!("com.example.session{session}.entry{entry}"));
            let message = make(RequestId::new(entry).expect("an id"), uri);
            let peer = PeerId(session);
            added.note(realm.handle(Input::Message { peer, message }));
        }
    }
    for session in 1..=sessions {
        left.note(realm.handle(Input::Gone {
            peer: PeerId(session),
        }));
        while realm.router.next_deadline().is_some() {
            left.note(realm.handle(Input::Tick));
        }
    }
    println!("  {what}: adding {added}; leaving {left}");
}

/// How long inputs took.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn note(&mut self, took: Duration) {
        self.0.push(took);
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let inputs = sorted.len();
        let at = |hundredths: usize| {
            sorted.get((inputs * hundredths / 100).min(inputs.saturating_sub(1)))
        };
        let [p50, p99, worst] = [50, 99, 100].map(|rank| at(rank).copied().unwrap_or_default());
        let sum: Duration = sorted.iter().sum();
        write!(
            f,
            "p50 {p50:?}, p99 {p99:?}, worst {worst:?} of {inputs} inputs, {sum:?} in all"
        )
    }
}

struct Realm {
    router: Router,
    outputs: Vec<Output>,
}

impl Realm {
    fn new() -> Self {
        let anyone = Permission {
            match_policy: MatchPolicy::Prefix,
            allow: Allow::ALL,
            ..Permission::default()
        };
        let options = RealmOptions {
            name: "realm1".into(),
            roles: vec![Role {
                name: ANONYMOUS.into(),
                permissions: vec![anyone],
                authorizer: None,
            }],
            agent: "tables".into(),
            limits: Limits::default(),
        };
        Self {
            router: Router::new(options, Box::new(Counted(0))),
            outputs: Vec::new(),
        }
    }

    fn join(&mut self, peer: PeerId) {
        let text = br#"[1,"realm1",{"roles":{"callee":{},"subscriber":{}}}]"#;
        let Ok(Message::Hello(hello)) = Serializer::Json.decode(text) else {
            panic!("a HELLO");
        };
        self.handle(Input::Hello {
            peer,
            hello,
            authrole: ANONYMOUS.to_owned(),
            transport: TransportKind::Memory,
            capacity: None,
        });
    }

    fn handle(&mut self, input: Input) -> Duration {
        self.outputs.clear();
        let now = Instant::now();
        self.router.handle(now, input, &mut self.outputs);
        now.elapsed()
    }
}

struct Counted(u64);

impl IdSource for Counted {
    fn session(&mut self) -> SessionId {
        self.0 += 1;
        SessionId::new(self.0).expect("an id")
    }

    fn publication(&mut self) -> PublicationId {
        self.0 += 1;
        PublicationId::new(self.0).expect("an id")
    }
}
