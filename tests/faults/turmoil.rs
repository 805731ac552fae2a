//! Everything at once, at random: callers that call, cancel, run out of time and disappear, while
//! backends are ended. The seed is fixed, the order of events on several threads is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::workbench::{self, Bench, FAIL, HOLD_FEW, NOTE, QUICK, SLEEP, SLEEP_FEW, SLEEPING};
use crate::support::{
    answer::{Answer, CallError},
    backends::{Backend, on_each_backend},
    wait,
    websocket::Client,
};

const CALLERS: u64 = 24;
/// So many calls may be pending for each.
const PENDING: usize = 4;
const CP_MAX: usize = 4;
/// It goes on for so long, and on a busy machine until enough has happened.
const DURATION: Duration = Duration::from_secs(4);
const AT_MOST: Duration = Duration::from_secs(60);
const SEED: u64 = 20_261_122;
/// What errors there may be.
const KNOWN: [&str; 5] = [
    "canceled",
    "timeout",
    "unavailable",
    "runtime_error",
    "invalid_argument",
];

/// What has happened so far, to all.
#[derive(Default)]
struct Happened {
    results: AtomicU64,
    sockets_dropped: AtomicU64,
    backends_ended: AtomicU64,
}

impl Happened {
    fn is_enough(&self) -> bool {
        let least = [
            (&self.results, 100),
            (&self.sockets_dropped, 10),
            (&self.backends_ended, 10),
        ];
        least
            .iter()
            .all(|(n, least)| n.load(Ordering::Relaxed) > *least)
    }
}

/// A caller, what it has asked and has had no answer to.
struct Caller<'a> {
    bench: &'a Bench,
    happened: &'a Happened,
    client: Client,
    random: StdRng,
    /// By request, the number that it is to note if it notes one.
    pending: BTreeMap<u64, Option<u64>>,
    next_note: u64,
    /// Whether the last answer was that there is no room.
    refused: bool,
    had: Had,
}

/// What callers have had.
#[derive(Default, Debug)]
struct Had {
    results: u64,
    errors: BTreeMap<String, u64>,
    sockets_dropped: u64,
    /// The numbers whose RESULT says that they are noted.
    noted: BTreeSet<u64>,
}

impl<'a> Caller<'a> {
    fn new(bench: &'a Bench, happened: &'a Happened, n: u64) -> Self {
        Self {
            bench,
            happened,
            client: bench.join(),
            random: StdRng::seed_from_u64(SEED + n),
            pending: BTreeMap::new(),
            next_note: n * 1_000_000,
            refused: false,
            had: Had::default(),
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..45 => {
                self.call(0, QUICK, &json!([1]), None);
            }
            45..50 => {
                let timeout = self.random.random_range(1..30);
                self.call(timeout, SLEEP_FEW, &json!([0.01]), None);
            }
            50..54 => {
                let timeout = self.random.random_range(1..100);
                self.call(timeout, SLEEP, &json!([600]), None);
            }
            54..75 => {
                self.next_note += 1;
                let seconds = f64::from(self.random.random_range(0..10)) / 1000.0;
                let args = json!([self.next_note, seconds]);
                self.call(0, NOTE, &args, Some(self.next_note));
            }
            75..80 => {
                self.call(0, FAIL, &json!([]), None);
            }
            80..85 => {
                let procedure = if self.random.random_bool(0.5) {
                    SLEEP
                } else {
                    SLEEP_FEW
                };
                let request = self.call(0, procedure, &json!([600]), None);
                self.cancel(request);
            }
            85..98 => {
                let pending: Vec<_> = self.pending.keys().copied().collect();
                if !pending.is_empty() {
                    let one = self.random.random_range(0..pending.len());
                    self.cancel(pending[one]);
                }
            }
            _ => {
                self.had.sockets_dropped += 1;
                self.happened
                    .sockets_dropped
                    .fetch_add(1, Ordering::Relaxed);
                self.pending.clear();
                self.client = self.bench.join();
            }
        }
        // A node that refuses calls is given time: to be refused is all too quick.
        let most = if std::mem::take(&mut self.refused) {
            0
        } else {
            PENDING
        };
        while self.pending.len() > most {
            self.hear();
        }
    }

    fn call(&mut self, timeout: u64, procedure: &str, args: &Value, note: Option<u64>) -> u64 {
        let request = match timeout {
            0 => self.client.call(procedure, args),
            timeout => self.client.call_within(timeout, procedure, args),
        };
        self.pending.insert(request, note);
        request
    }

    fn cancel(&mut self, request: u64) {
        let modes = [None, Some("skip"), Some("kill"), Some("killnowait")];
        let mode = modes[self.random.random_range(0..modes.len())];
        self.client.cancel(request, mode);
    }

    /// An answer, which must be to a call that has had none.
    fn hear(&mut self) {
        let Answer { request, outcome } = self.client.answer();
        let note = self.pending.remove(&request);
        let note = note.unwrap_or_else(|| panic!("{request} was answered or never asked"));
        match outcome {
            Ok(_) => {
                self.had.results += 1;
                self.happened.results.fetch_add(1, Ordering::Relaxed);
                self.had.noted.extend(note);
            }
            Err(CallError { uri, .. }) => {
                self.refused = uri == "wamp.error.unavailable";
                *self.had.errors.entry(uri).or_default() += 1;
            }
        }
    }

    /// Until every call is answered and a last one too. The queue may still be full of what
    /// others have called and canceled; what is refused for want of room is asked again, until
    /// there is room or patience ends.
    fn finish(mut self) -> Had {
        while !self.pending.is_empty() {
            self.hear();
        }
        for procedure in [QUICK, SLEEP_FEW, HOLD_FEW] {
            wait::until("room in the queue", || {
                let request = self.client.call(procedure, &json!([0]));
                match self.client.answer_to(request).outcome {
                    Ok(_) => Some(()),
                    Err(error) if error.message.contains("queue_limit") => None,
                    Err(error) => panic!("{procedure}: {error:?}"),
                }
            });
        }
        self.client.leave();
        self.had
    }
}

impl Had {
    fn and(mut self, other: Self) -> Self {
        self.results += other.results;
        self.sockets_dropped += other.sockets_dropped;
        for (uri, count) in other.errors {
            *self.errors.entry(uri).or_default() += count;
        }
        self.noted.extend(other.noted);
        self
    }
}

on_each_backend![whatever_happens_every_call_is_answered_once_and_the_node_serves_on,];

fn whatever_happens_every_call_is_answered_once_and_the_node_serves_on(backend: Backend) {
    let settings = json!({"cp_min": 2, "cp_max": CP_MAX, "queue_limit": 60});
    let bench = Bench::start(backend, "turmoil", settings);
    let happened = Happened::default();
    let began = Instant::now();
    let is_over = || {
        let lasts = began.elapsed();
        lasts >= AT_MOST || lasts >= DURATION && happened.is_enough()
    };
    let had = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|n| {
                let (bench, happened, is_over) = (&bench, &happened, &is_over);
                scope.spawn(move || {
                    let mut caller = Caller::new(bench, happened, n);
                    while !is_over() {
                        caller.step();
                    }
                    caller.finish()
                })
            })
            .collect();
        let mut random = StdRng::seed_from_u64(SEED);
        let mut observer = bench.observe();
        while !is_over() {
            let ended = observer.terminate_backends();
            let counted = u64::try_from(ended).expect("a number");
            happened
                .backends_ended
                .fetch_add(counted, Ordering::Relaxed);
            let pause = Duration::from_millis(random.random_range(20..200));
            std::thread::park_timeout(pause);
        }
        let had = callers.into_iter().map(|c| c.join().expect("a caller"));
        had.fold(Had::default(), Had::and)
    });
    let ended = happened.backends_ended.load(Ordering::Relaxed);
    eprintln!(
        "{} results, {:?}, {} sockets dropped, {ended} backends ended, {} notes",
        had.results,
        had.errors,
        had.sockets_dropped,
        had.noted.len()
    );
    assert!(happened.is_enough());
    for uri in had.errors.keys() {
        let last = uri.strip_prefix("wamp.error.");
        assert!(
            last.is_some_and(|last| KNOWN.contains(&last)),
            "{:?}",
            had.errors
        );
    }
    // What was answered with a RESULT is there, and once.
    let noted = workbench::notes(&bench.database);
    let there: BTreeSet<_> = noted.iter().map(|n| n.unsigned_abs()).collect();
    assert_eq!(there.len(), noted.len(), "nothing runs twice");
    let lost: Vec<_> = had.noted.difference(&there).collect();
    assert!(lost.is_empty(), "{lost:?}");

    bench.observe().wait_for(0, SLEEPING);
    bench.assert_whole(CP_MAX);
}
