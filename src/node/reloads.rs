//! Owns what of a running node is read again when somebody asks for it, and the thread that does it:
//! components now, certificates could be next. Must not know what is read.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

/// A reload begins when nobody has asked for it for so long: an editor writes several times, and a
/// transaction may notify of each of its statements.
const QUIET: Duration = Duration::from_millis(100);
/// But not later than so long after the first request.
const LATEST: Duration = Duration::from_secs(1);
/// How often it is looked whether something has changed, with `--watch`.
const LOOK: Duration = Duration::from_millis(500);

/// What can be read again.
pub(super) trait Reload: Send {
    /// Reads it again. May block; what is wrong is to be logged.
    fn reload(&self);

    /// Looks whether it has become another, and asks for a reload if it has.
    fn watch(&self);
}

/// Asks for reloads. Cheap to clone, and to be used from any thread.
#[derive(Clone)]
pub struct Reloader {
    commands: Sender<Command>,
    last_id: Arc<AtomicUsize>,
}

/// The thread that reloads.
pub(super) struct Reloads {
    reloader: Reloader,
    thread: JoinHandle<()>,
}

/// What the thread is told. There are few: requests come from people, and from those who notify the
/// database.
enum Command {
    Add(usize, Box<dyn Reload>),
    Reload(usize),
    ReloadAll,
    Watch,
    End,
}

impl Reloader {
    /// A number for what is going to be added. Requests by it may come before.
    pub(super) fn new_id(&self) -> usize {
        self.last_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn add(&self, id: usize, what: impl Reload + 'static) {
        self.send(Command::Add(id, Box::new(what)));
    }

    /// Asks for one thing to be read again. Does not block.
    pub(super) fn reload(&self, id: usize) {
        self.send(Command::Reload(id));
    }

    /// Asks for all that can be to be read again. Does not block.
    pub fn reload_all(&self) {
        self.send(Command::ReloadAll);
    }

    /// Has it looked from now on whether something has become another.
    pub fn watch(&self) {
        self.send(Command::Watch);
    }

    /// The node is stopping if nobody takes it.
    fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

impl Reloads {
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start() -> io::Result<Self> {
        let (commands, taken) = unbounded();
        let thread = Builder::new().name("reload".to_owned());
        let thread = thread.spawn(move || Work::default().run(&taken))?;
        let reloader = Reloader {
            commands,
            last_id: Arc::default(),
        };
        Ok(Self { reloader, thread })
    }

    pub(super) fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// Ends it after what it is at. Does not block.
    pub(super) fn end(&self) {
        self.reloader.send(Command::End);
    }

    /// The thread, to be joined after the [end](Self::end).
    pub(super) fn into_thread(self) -> JoinHandle<()> {
        self.thread
    }
}

#[derive(Default)]
struct Work {
    all: BTreeMap<usize, Entry>,
    /// When it is looked next whether something has become another.
    look: Option<Instant>,
}

#[derive(Default)]
struct Entry {
    what: Option<Box<dyn Reload>>,
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

impl Work {
    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let command = match self.next() {
                None => commands.recv().map_err(RecvTimeoutError::from),
                Some(at) => commands.recv_deadline(at),
            };
            match command {
                Ok(Command::Add(id, what)) => self.all.entry(id).or_default().what = Some(what),
                Ok(Command::Reload(id)) => self.all.entry(id).or_default().ask(),
                Ok(Command::ReloadAll) => self.all.values_mut().for_each(Entry::ask),
                Ok(Command::Watch) => self.look = Some(Instant::now()),
                Err(RecvTimeoutError::Timeout) => self.turn(Instant::now()),
                Ok(Command::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// When there is something to do.
    fn next(&self) -> Option<Instant> {
        let due = self.all.values().filter_map(Entry::due);
        due.chain(self.look).min()
    }

    fn turn(&mut self, now: Instant) {
        if self.look.is_some_and(|at| at <= now) {
            self.all.values().for_each(Entry::watch);
            self.look = Some(Instant::now() + LOOK);
        }
        for entry in self.all.values_mut() {
            if entry.due().is_some_and(|at| at <= now) {
                entry.request = None;
                entry.what.iter().for_each(|what| what.reload());
            }
        }
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

    fn watch(&self) {
        self.what.iter().for_each(|what| what.watch());
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
