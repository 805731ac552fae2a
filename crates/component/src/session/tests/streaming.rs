//! Replies in parts: how far the source runs ahead of the caller, and how it ends.

use std::collections::VecDeque;

use super::*;
use crate::{Deferred, Promise, deferred};
use wamp::{Receipt, Work, Yield};

type Part = Option<String>;

/// A source that the test plays, and how often it was asked.
#[derive(Clone, Default)]
struct Source(Arc<Mutex<Played>>);

#[derive(Default)]
struct Played {
    ready: VecDeque<Result<Part, Error>>,
    asked: usize,
    waiting: Option<Promise<Part>>,
    is_dropped: bool,
}

impl Source {
    fn next(&self) -> Deferred<Part> {
        let mut played = self.0.lock().unwrap();
        played.asked += 1;
        if let Some(part) = played.ready.pop_front() {
            return Deferred::ready(part);
        }
        let (promise, deferred) = deferred();
        played.waiting = Some(promise);
        deferred
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    fn is_dropped(&self) -> bool {
        self.0.lock().unwrap().is_dropped
    }

    /// Gives the part that is waited for.
    fn give(&self, part: Result<Part, Error>) {
        let waiting = self.0.lock().unwrap().waiting.take();
        waiting.expect("it was asked").resolve(part);
    }
}

/// Notes that the closure which holds it is dropped.
struct Guard(Source);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().is_dropped = true;
    }
}

struct Streams(Source);

impl Component for Streams {
    fn on_join(_: Setup) -> Result<Self, Error> {
        Ok(Self(Source::default()))
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        let stream = |streams: &Self, call: Invocation| {
            let guard = Guard(streams.0.clone());
            Reply::stream(&call, move || guard.0.next())
        };
        let panicking = |_: &Self, call: Invocation| {
            Reply::stream(&call, || -> Deferred<Part> {
                panic!("hunter2, as the test wants it")
            })
        };
        let one = std::num::NonZeroU64::MIN;
        vec![
            Procedure::new("com.example.stream", stream),
            Procedure::new("com.example.one", stream).concurrency(one),
            Procedure::new("com.example.panicking", panicking),
        ]
    }
}

/// A way to the router that keeps the receipts of parts.
struct Keeping {
    sent: mpsc::Sender<Message>,
    receipts: Arc<Mutex<Vec<Receipt>>>,
    keeps: bool,
    /// What happens while a part is being sent.
    meanwhile: Arc<Mutex<Option<Work>>>,
}

impl Transport for Keeping {
    fn send(&self, message: Message) {
        self.sent.send(message).unwrap();
    }
    fn send_part(&self, part: Yield, taken: Receipt) {
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
            meanwhile();
        }
        self.send(part.into());
        if self.keeps {
            self.receipts.lock().unwrap().push(taken);
        }
    }
}

struct Playing {
    played: super::Played,
    source: Source,
    receipts: Arc<Mutex<Vec<Receipt>>>,
    meanwhile: Arc<Mutex<Option<Work>>>,
}

impl Playing {
    fn new(keeps: bool, ready: impl IntoIterator<Item = Part>) -> Self {
        let (sender, sent) = mpsc::channel();
        let receipts = Arc::<Mutex<Vec<_>>>::default();
        let meanwhile = Arc::<Mutex<Option<_>>>::default();
        let transport = Keeping {
            sent: sender,
            receipts: receipts.clone(),
            keeps,
            meanwhile: meanwhile.clone(),
        };
        let source = Source::default();
        (source.0.lock().unwrap().ready).extend(ready.into_iter().map(Ok));
        let instance = Instance::of(Streams(source.clone()), SessionHandle::default());
        let played = super::Played::on(Arc::new(transport), sent, instance);
        played.join();
        Self {
            played,
            source,
            receipts,
            meanwhile,
        }
    }

    fn invoke(&self, registration: u64) {
        let invocation = json!([68, 1, registration, {"receive_progress": true}]);
        self.played.hear(&invocation.to_string());
    }

    /// The first arguments of what was sent, and whether they are parts.
    fn sent(&self) -> Vec<(Value, bool)> {
        let sent = self.played.sent().into_iter();
        let told = |m: Value| {
            assert_eq!((&m[0], &m[1]), (&json!(70), &json!(1)), "{m}");
            (m[3][0].clone(), m[2]["progress"] == true)
        };
        sent.map(told).collect()
    }

    fn take_one(&self) {
        let receipt = self.receipts.lock().unwrap().remove(0);
        drop(receipt);
    }
}

fn text(len: usize) -> Part {
    Some("x".repeat(len))
}

#[test]
fn two_parts_are_on_their_way_and_the_next_is_asked_for_when_one_is_taken() {
    let playing = Playing::new(true, [text(1), text(2), text(3), text(4), None]);
    playing.invoke(101);
    let part = |len| (json!("x".repeat(len)), true);
    assert_eq!(playing.sent(), [part(1), part(2)]);
    assert_eq!(playing.source.asked(), 2);
    playing.take_one();
    assert_eq!(playing.sent(), [part(3)]);
    playing.take_one();
    assert_eq!(playing.sent(), [part(4)]);
    assert_eq!(playing.played.session.client.handler().count_under_way(), 1);
    playing.take_one();
    assert_eq!(playing.sent(), [(Value::Null, false)], "the last one");
    assert!(playing.source.is_dropped());
    assert_eq!(playing.played.session.client.handler().count_under_way(), 0);
    playing.take_one();
    assert_eq!(playing.source.asked(), 5);
    assert_eq!(playing.sent(), []);
}

#[test]
fn no_second_part_is_asked_for_beside_a_large_one() {
    let playing = Playing::new(true, [text(300 << 10), text(1), None]);
    playing.invoke(101);
    assert_eq!((playing.sent().len(), playing.source.asked()), (1, 1));
    playing.take_one();
    assert_eq!(playing.sent().len(), 2);
}

#[test]
fn a_source_that_is_always_ready_does_not_fill_the_stack() {
    let parts = 100_000;
    let all = (0..parts).map(|_| text(1)).chain([None]);
    let playing = Playing::new(false, all);
    playing.invoke(101);
    let sent = playing.sent();
    assert_eq!(sent.len(), parts + 1);
    assert!(sent[..parts].iter().all(|(_, is_part)| *is_part));
    assert!(!sent[parts].1);
}

#[test]
fn an_error_of_the_source_is_the_answer_and_the_only_one() {
    let playing = Playing::new(true, [text(1)]);
    playing.invoke(101);
    assert_eq!(playing.sent().len(), 1);
    playing
        .source
        .give(Err(Error::new("com.example.no", "no more")));
    let answers = playing.played.sent();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0][4], "com.example.no");
    assert!(playing.source.is_dropped());

    playing.invoke(103);
    let answers = playing.played.sent();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0][4], "wamp.error.runtime_error");
    assert!(!answers[0].to_string().contains("hunter2"));
}

#[test]
fn an_interrupt_or_the_end_of_the_session_ends_the_source_at_once() {
    let interrupt = r#"[69, 1, {"mode": "killnowait"}]"#;
    let end = |playing: &Playing| playing.played.session.on_close();
    for registration in [101, 102] {
        for (name, ends) in [
            (
                "interrupt",
                &(|p: &Playing| p.played.hear(interrupt)) as &dyn Fn(&Playing),
            ),
            ("end", &end),
        ] {
            // While a part is waited for, and while none is.
            for parts in [1, 2] {
                let playing = Playing::new(true, (0..parts).map(|_| text(1)));
                playing.invoke(registration);
                assert_eq!(playing.sent().len(), parts, "{name}");
                ends(&playing);
                assert!(playing.source.is_dropped(), "{name}");
                let answers = playing.played.sent();
                assert_eq!(answers.len(), 1, "{name}: {answers:?}");
                assert_eq!(answers[0][4], "wamp.error.canceled");
                if parts == 1 {
                    playing.source.give(Ok(text(1)));
                }
                playing.receipts.lock().unwrap().clear();
                assert_eq!(playing.played.sent(), Vec::<Value>::new());
            }
        }
    }
}

#[test]
fn no_part_comes_after_the_answer() {
    let playing = Playing::new(true, []);
    playing.invoke(101);
    let session = playing.played.session.clone();
    let interrupt = wamp::Serializer::Json.decode(br#"[69, 1, {"mode": "kill"}]"#);
    let interrupt = interrupt.unwrap();
    *playing.meanwhile.lock().unwrap() = Some(Box::new(move || session.on_message(interrupt)));
    playing.source.give(Ok(text(1)));
    let sent = playing.played.sent();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(sent[0][2], json!({"progress": true}));
    assert_eq!(sent[1][4], "wamp.error.canceled");
}

#[test]
fn who_has_not_asked_for_progress_is_told() {
    let playing = Playing::new(true, []);
    playing.played.invoke(1, 101, &json!([]));
    let answer = playing.played.sent().remove(0);
    assert_eq!(answer[4], "wamp.error.invalid_argument");
    let message = answer[5][0].as_str().unwrap();
    assert!(message.contains("receive_progress"), "{message}");
    assert_eq!(playing.source.asked(), 0);
}

/// Replies with the rows that the test gives.
struct Rows(Mutex<Option<sql::RowStream>>);

impl Component for Rows {
    fn on_join(_: Setup) -> Result<Self, Error> {
        Ok(Self(Mutex::default()))
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        let rows = |one: &Self, call: Invocation| {
            let rows = one
                .0
                .lock()
                .unwrap()
                .take()
                .expect("the test has left them");
            let affected = |rows: sql::Rows| Ok::<_, sql::Error>(rows.affected());
            Reply::rows(&call, rows, affected)
        };
        let one = std::num::NonZeroU64::MIN;
        vec![Procedure::new("com.example.rows", rows).concurrency(one)]
    }
}

#[test]
fn a_canceled_call_that_is_counted_is_answered_when_its_connection_is_free() {
    struct Noted(AtomicBool);
    impl ::deferred::Interrupt<sql::Error> for Noted {
        fn interrupt(&self, _: Arc<dyn ::deferred::Control<sql::Error>>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (promise, job) = ::deferred::deferred::<(), sql::Error>();
    let (sink, stream) = sql::row_stream(job.cancel_handle());
    let sink = Arc::new(sink);
    let end = sink.clone();
    job.on_result(move |result| end.finish(result));
    let noted = Arc::new(Noted(AtomicBool::new(false)));
    let interrupt: Arc<dyn ::deferred::Interrupt<sql::Error>> = noted.clone();
    let control = promise.control();
    assert!(control.take() && control.begin(&interrupt));
    sink.send(sql::Rows::count(7)).unwrap();

    let rows = Rows(Mutex::new(Some(stream)));
    let played = super::Played::new(Instance::of(rows, SessionHandle::default()));
    played.join();
    played.hear(r#"[68, 1, 101, {"receive_progress": true}]"#);
    assert_eq!(played.sent(), [json!([70, 1, {"progress": true}, [7]])]);
    played.hear(r#"[69, 1, {"mode": "kill"}]"#);
    assert!(noted.0.load(Ordering::Relaxed), "its statement is stopped");
    assert!(sink.send(sql::Rows::count(8)).is_err());
    assert_eq!(played.sent(), [] as [Value; 0], "its worker is not free");
    assert!(control.end().is_err());
    promise.resolve(Ok(()));
    let answers = played.sent();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0][4], "wamp.error.canceled");
}
