//! What a call and an event cost inside this process, part by part, without sockets and without
//! PostgreSQL. Run with `cargo bench`.

use std::{
    hint::black_box,
    sync::{Arc, OnceLock},
    thread,
    time::Instant,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::unbounded;
use wampgres::{
    component::deferred,
    wamp::{
        ANONYMOUS, Call, Message, Payload, Peer, PublicationId, Publish, RequestId,
        Result as CallResult, ResultDetails, Serializer, SessionId, Sparse, Transport,
        TransportKind, Uri, Yield, YieldOptions,
    },
    wamp_router::{
        Allow, IdSource, Input, Limits, MatchPolicy, Output, PeerId, Permission, RealmOptions,
        Role, Router,
    },
    wamp_transport::{self as transport, ClockHandle},
};

const CALL: &[u8] = br#"[48,4711,{},"com.example.now.v1"]"#;
const HELLO: &str =
    r#"[1,"realm1",{"roles":{"caller":{},"callee":{},"publisher":{},"subscriber":{}}}]"#;
const CALL_WITH_ARGS: &[u8] = br#"[48,4711,{},"com.example.add2",[23,7,"some text"],{"a":[1,2]}]"#;

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.bench_function("decode CALL", |b| {
        b.iter(|| Serializer::Json.decode(black_box(CALL)));
    });
    group.bench_function("decode CALL with arguments", |b| {
        b.iter(|| Serializer::Json.decode(black_box(CALL_WITH_ARGS)));
    });
    let result = Message::from(CallResult {
        request: request(4711),
        details: ResultDetails::default(),
        payload: Payload::from_args(&["2026-01-01T00:00:00.000000"]).expect("JSON"),
    });
    group.bench_function("encode RESULT", |b| {
        b.iter(|| Serializer::Json.encode(black_box(&result)));
    });
}

/// CALL, INVOCATION, YIELD, RESULT, as messages.
fn route(c: &mut Criterion) {
    let (caller, callee) = (PeerId(1), PeerId(2));
    let mut realm = Realm::new();
    realm.join(caller);
    realm.join(callee);
    realm.say(callee, r#"[64,1,{},"com.example.echo"]"#);
    let procedure = Uri::from("com.example.echo");
    let payload = Payload::from_args(&[23, 7]).expect("JSON");
    let mut call = 0;
    c.bench_function("route one call", |b| {
        b.iter(|| {
            call += 1;
            let message = Call {
                request: request(call),
                options: Sparse::default(),
                procedure: procedure.clone(),
                payload: payload.clone(),
            };
            realm.hear(caller, message.into());
            let [Output::Invoke { invocation, .. }] = &realm.outputs[..] else {
                panic!("a call becomes an invocation, not {:?}", realm.outputs);
            };
            let answer = Yield {
                request: invocation.request,
                options: YieldOptions::default(),
                payload: payload.clone(),
            };
            realm.hear(callee, answer.into());
            assert_eq!(realm.outputs.len(), 1, "a yield becomes a result");
        });
    });
}

fn publish(c: &mut Criterion) {
    const SUBSCRIBERS: u64 = 1_000;
    let publisher = PeerId(0);
    let mut realm = Realm::new();
    realm.join(publisher);
    for subscriber in 1..=SUBSCRIBERS {
        realm.join(PeerId(subscriber));
        realm.say(PeerId(subscriber), r#"[32,1,{},"com.example.topic"]"#);
    }
    let mut group = c.benchmark_group("publish");
    group.throughput(Throughput::Elements(SUBSCRIBERS));
    let mut publication = 0;
    group.bench_function("to 1,000 subscribers", |b| {
        b.iter(|| {
            publication += 1;
            realm.hear(publisher, publish_message(publication));
            let [Output::Event { to, .. }] = &realm.outputs[..] else {
                panic!("a publication becomes one event, not {:?}", realm.outputs);
            };
            assert_eq!(to.len() as u64, SUBSCRIBERS);
        });
    });
}

/// The same through the realm's lock, to sessions in memory.
fn publish_through_the_realm(c: &mut Criterion) {
    const SUBSCRIBERS: u64 = 1_000;
    #[derive(Default)]
    struct Silent(OnceLock<Arc<dyn Transport>>);
    impl Peer for Silent {
        fn on_open(&self, transport: Arc<dyn Transport>) {
            self.0.get_or_init(|| transport);
        }
        fn on_posted(&self, _: Message) {}
        fn on_message(&self, message: Message) {
            black_box(message);
        }
        fn on_close(&self) {}
    }
    let router = Router::new(realm_options(), Box::new(Counted(0)));
    let realm = Arc::new(transport::Realm::new(
        router,
        ClockHandle::default(),
        transport::Memory::new(usize::MAX / 2, ClockHandle::default()),
    ));
    let join = |texts: &[&str]| {
        let silent = Arc::new(Silent::default());
        let peer: Arc<dyn Peer> = silent.clone();
        transport::open_local(&realm, &peer, ANONYMOUS, None, &mut []);
        let transport = silent.0.get().expect("a session has a way to its router");
        for text in [&[HELLO], texts].concat() {
            transport.send(decode(text));
        }
        transport.clone()
    };
    let publisher = join(&[]);
    let sessions: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| join(&[r#"[32,1,{},"com.example.topic"]"#]))
        .collect();
    let mut group = c.benchmark_group("publish");
    group.throughput(Throughput::Elements(SUBSCRIBERS));
    let mut publication = 0;
    group.bench_function("to 1,000 sessions in memory", |b| {
        b.iter(|| {
            publication += 1;
            publisher.send(publish_message(publication));
        });
    });
    assert_eq!(realm.stats().events, publication * SUBSCRIBERS);
    drop(sessions);
}

/// What a job and its result cost on their way, with a worker that does nothing.
fn hand_over(c: &mut Criterion) {
    let mut group = c.benchmark_group("pool hand-over");
    group.bench_function("resolve a Deferred with a callback", |b| {
        b.iter(|| {
            let (promise, result) = deferred::<u64>();
            result.on_result(|value| {
                black_box(value.is_ok());
            });
            promise.resolve(Ok(1));
        });
    });
    let (jobs, work) = unbounded::<Box<dyn FnOnce() + Send>>();
    let worker = thread::spawn(move || work.iter().for_each(|job| job()));
    group.bench_function("to a worker and back, one at a time", |b| {
        b.iter(|| {
            let (promise, result) = deferred::<u64>();
            let job = Box::new(move || promise.resolve(Ok(1)));
            jobs.send(job).expect("the worker works");
            result.wait().expect("a result")
        });
    });
    const TOGETHER: u64 = 64;
    group.throughput(Throughput::Elements(TOGETHER));
    group.bench_function("to a worker and back, 64 at a time", |b| {
        b.iter(|| {
            let results: Vec<_> = (0..TOGETHER)
                .map(|n| {
                    let (promise, result) = deferred::<u64>();
                    let job = Box::new(move || promise.resolve(Ok(n)));
                    jobs.send(job).expect("the worker works");
                    result
                })
                .collect();
            results
                .into_iter()
                .map(|result| result.wait().expect("a result"))
                .sum::<u64>()
        });
    });
    group.finish();
    drop(jobs);
    worker.join().expect("the worker ends");
}

/// A router, and what it put out last.
struct Realm {
    router: Router,
    outputs: Vec<Output>,
}

impl Realm {
    fn new() -> Self {
        Self {
            router: Router::new(realm_options(), Box::new(Counted(0))),
            outputs: Vec::new(),
        }
    }

    fn join(&mut self, peer: PeerId) {
        let Message::Hello(hello) = decode(HELLO) else {
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

    fn say(&mut self, peer: PeerId, text: &str) {
        self.hear(peer, decode(text));
    }

    fn hear(&mut self, peer: PeerId, message: Message) {
        self.handle(Input::Message { peer, message });
    }

    fn handle(&mut self, input: Input) {
        self.outputs.clear();
        self.router.handle(Instant::now(), input, &mut self.outputs);
    }
}

fn realm_options() -> RealmOptions {
    let anyone = Role {
        name: ANONYMOUS.into(),
        permissions: vec![Permission {
            uri: "com.".into(),
            match_policy: MatchPolicy::Prefix,
            allow: Allow::ALL,
            ..Permission::default()
        }],
        authorizer: None,
    };
    RealmOptions {
        name: "realm1".into(),
        roles: vec![anyone],
        agent: "wampgres".into(),
        limits: Limits::default(),
    }
}

fn publish_message(publication: u64) -> Message {
    let publish = Publish {
        request: request(publication),
        options: Sparse::default(),
        topic: "com.example.topic".into(),
        payload: Payload::empty(),
    };
    publish.into()
}

fn decode(text: &str) -> Message {
    Serializer::Json.decode(text.as_bytes()).expect("a message")
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

fn request(id: u64) -> RequestId {
    RequestId::new(id).expect("an id")
}

criterion_group!(
    benches,
    codec,
    route,
    publish,
    publish_through_the_realm,
    hand_over
);
criterion_main!(benches);
