//! Owns what of a running node is read again when somebody asks for it, and the thread that does it:
//! components now, certificates could be next. Must not know what is read.

use std::{
    collections::BTreeMap,
    io, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

/// A reload begins when nobody has asked for it for so long: an editor writes several times, and a
/// transaction may notify of each of its statements.
const QUIET: Duration = Duration::from_millis(100);
/// But not later than so long after the first request.
const LATEST: Duration = Duration::from_secs(1);
/// How often it is looked whether something has changed, with `--watch`.
const LOOK: Duration = Duration::from_millis(500);

/// What can be read again.
pub(super) trait Reload: Send + Sync {
    /// Reads it again. May block; what is wrong is to be logged.
    fn reload(&self);

    /// Looks whether it has become another, and asks for a reload if it has.
    fn watch(&self);
}

/// Asks for reloads. Cheap to clone, and to be used from any thread. No method blocks.
#[derive(Clone)]
pub struct Reloader(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when there is something to do.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    all: BTreeMap<usize, Entry>,
    last_id: usize,
    /// When it is looked next whether something has changed.
    look: Option<Instant>,
    is_over: bool,
}

#[derive(Default)]
struct Entry {
    /// Not there yet if it is asked for while it is being made.
    what: Option<Arc<dyn Reload>>,
    request: Option<Request>,
}

/// When it was asked for first, and last.
#[derive(Clone, Copy, Debug)]
struct Request {
    first: Instant,
    last: Instant,
}

impl Request {
    /// The request that has come, after those before it.
    fn after(before: Option<Self>, now: Instant) -> Self {
        let first = before.map_or(now, |before| before.first);
        Self { first, last: now }
    }

    fn due(self) -> Instant {
        (self.last + QUIET).min(self.first + LATEST)
    }
}

impl Reloader {
    /// A number for what is going to be added. Requests by it may come before.
    pub(super) fn new_id(&self) -> usize {
        let mut state = self.0.state();
        state.last_id += 1;
        state.last_id
    }

    pub(super) fn add(&self, id: usize, what: impl Reload + 'static) {
        self.change(|state| state.all.entry(id).or_default().what = Some(Arc::new(what)));
    }

    /// Asks for one thing to be read again.
    pub(super) fn reload(&self, id: usize) {
        self.change(|state| state.all.entry(id).or_default().ask());
    }

    /// Asks for all that can be to be read again.
    pub fn reload_all(&self) {
        self.change(|state| state.all.values_mut().for_each(Entry::ask));
    }

    /// Has it looked from now on whether something has become another.
    pub fn watch(&self) {
        self.change(|state| state.look = Some(Instant::now()));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state());
        self.0.changed.notify_one();
    }
}

/// The thread that reloads.
pub(super) struct Reloads {
    reloader: Reloader,
    thread: JoinHandle<()>,
}

impl Reloads {
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start() -> io::Result<Self> {
        let reloader = Reloader(Arc::default());
        let shared = reloader.0.clone();
        let thread = Builder::new().name("reload".to_owned());
        let thread = thread.spawn(move || shared.run())?;
        Ok(Self { reloader, thread })
    }

    pub(super) fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// Ends it after what it is at. Does not block.
    pub(super) fn end(&self) {
        self.reloader.change(|state| state.is_over = true);
    }

    /// The thread, to be joined after the [end](Self::end).
    pub(super) fn into_thread(self) -> JoinHandle<()> {
        self.thread
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state();
        while !state.is_over {
            let now = Instant::now();
            let looks = state.looks(now);
            let due = state.due(now);
            if !looks.is_empty() || !due.is_empty() {
                drop(state);
                looks.iter().for_each(|what| what.watch());
                due.iter().for_each(|what| what.reload());
                state = self.state();
                continue;
            }
            state = match state.next() {
                None => (self.changed.wait(state)).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let left = at.saturating_duration_since(now);
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        // What it reloads may hold what holds this.
        let all = mem::take(&mut state.all);
        drop(state);
        drop(all);
    }

    /// Nothing panics under the lock but for want of memory, which aborts.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When there is something to do next.
    fn next(&self) -> Option<Instant> {
        let due = self.all.values().filter_map(Entry::due);
        due.chain(self.look).min()
    }

    /// All that is there, if it is time to look at it.
    fn looks(&mut self, now: Instant) -> Vec<Arc<dyn Reload>> {
        if self.look.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.look = Some(now + LOOK);
        let there = self.all.values().filter_map(|entry| entry.what.clone());
        there.collect()
    }

    /// What is to be reloaded now.
    fn due(&mut self, now: Instant) -> Vec<Arc<dyn Reload>> {
        let due = self
            .all
            .values_mut()
            .filter(|entry| entry.due().is_some_and(|at| at <= now));
        due.filter_map(|entry| {
            entry.request = None;
            entry.what.clone()
        })
        .collect()
    }
}

impl Entry {
    fn ask(&mut self) {
        self.request = Some(Request::after(self.request, Instant::now()));
    }

    /// When it is to be reloaded; not before it is there.
    fn due(&self) -> Option<Instant> {
        let request = self.request.filter(|_| self.what.is_some());
        request.map(Request::due)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Noted(mpsc::Sender<&'static str>, Reloader, usize);

    impl Reload for Noted {
        fn reload(&self) {
            self.0.send("reloaded").unwrap();
        }

        fn watch(&self) {
            self.0.send("watched").unwrap();
            self.1.reload(self.2);
        }
    }

    #[test]
    fn requests_that_come_together_are_one_reload() {
        let reloads = Reloads::start().unwrap();
        let (noted, notes) = mpsc::channel();
        let reloader = reloads.reloader().clone();
        let (first, second) = (reloader.new_id(), reloader.new_id());
        // One that comes too early waits.
        reloader.reload(first);
        for id in [first, second] {
            reloader.add(id, Noted(noted.clone(), reloader.clone(), id));
        }
        for _ in 0..100 {
            reloader.reload(first);
        }
        let next = || notes.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(next(), "reloaded");
        reloader.reload_all();
        assert_eq!([next(), next()], ["reloaded"; 2]);
        reloader.watch();
        let mut four = [next(), next(), next(), next()];
        four.sort_unstable();
        assert_eq!(four, ["reloaded", "reloaded", "watched", "watched"]);
        reloads.end();
        reloads.into_thread().join().unwrap();
        reloader.reload_all();
    }

    #[test]
    fn whoever_asks_without_a_pause_has_it_all_the_same() {
        let start = Instant::now();
        let mut request = None;
        for n in 0..100 {
            request = Some(Request::after(request, start + QUIET / 2 * n));
        }
        assert_eq!(request.unwrap().due(), start + LATEST);
        assert_eq!(Request::after(None, start).due(), start + QUIET);
    }
}
