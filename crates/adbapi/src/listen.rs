//! Owns the listening connection of a pool and its thread: what is notified goes to whoever listens,
//! and a loss is told before and after. Knows no job and no worker.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use postgres::{Client, fallible_iterator::FallibleIterator};
use sql::{
    ErrorKind, ListenEvent, Listener, Notification, OnListenEvent, TargetSessionAttrs,
    quote_channel,
};
use tracing::{error, info, warn};

use super::{
    LOG,
    builder::Builder,
    error::{Error, describe},
    server::Server,
    session_attrs::SessionAttrs,
    tls::Tls,
};

/// How long a wait for notifications lasts, before the thread looks who listens now: the client
/// library's wait cannot be ended from another thread.
const TURN: Duration = Duration::from_millis(100);

/// The pauses between attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_AT_MOST: Duration = Duration::from_secs(5);

/// How long the close waits for the thread, which a frozen server may hold.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The listening of one pool. Its thread runs while there are listeners or were some.
pub(super) struct Listening {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    settings: Builder,
    tls: Tls,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Of `state`, or the thread has ended.
    changed: Condvar,
    /// `state` was changed by somebody else than the thread.
    is_changed: AtomicBool,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    last_id: u64,
    is_closed: bool,
    has_ended: bool,
}

/// A listener.
struct Entry {
    id: u64,
    channel: Arc<str>,
    on_event: Arc<OnListenEvent>,
    told: Told,
    /// Whether it was ever told that it listens.
    has_listened: bool,
}

/// What a listener was told last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Listening,
    Lost,
}

impl Listening {
    pub(super) fn new(settings: &Builder, tls: &Tls) -> Self {
        let mut settings = settings.clone();
        // Nobody can listen on a standby.
        if !settings.driver.wanted().is_to_write() {
            settings.driver.target_session_attrs = Some(TargetSessionAttrs::Primary);
        }
        Self {
            shared: Arc::default(),
            thread: Mutex::default(),
            settings,
            tls: tls.clone(),
        }
    }

    pub(super) fn listen(
        &self,
        channel: &str,
        on_event: OnListenEvent,
    ) -> Result<Listener, sql::Error> {
        quote_channel(channel)?;
        if self.shared.state().is_closed {
            return Err(Error::Closed.into());
        }
        self.start()?;
        let mut state = self.shared.state();
        state.last_id += 1;
        let id = state.last_id;
        state.entries.push(Entry {
            id,
            channel: channel.into(),
            on_event: Arc::new(on_event),
            told: Told::Nothing,
            has_listened: false,
        });
        drop(state);
        self.shared.tell_thread();
        let shared = self.shared.clone();
        Ok(Listener::new(move || {
            let mut state = shared.state();
            let ended = state.entries.iter().position(|entry| entry.id == id);
            let ended = ended.map(|at| state.entries.remove(at));
            drop(state);
            shared.tell_thread();
            drop(ended);
        }))
    }

    /// Starts the thread if there is none.
    fn start(&self) -> Result<(), Error> {
        let mut thread = self.thread();
        if thread.is_some() {
            return Ok(());
        }
        let shared = self.shared.clone();
        let run = ListenThread {
            servers: Server::all(&self.settings, &self.tls),
            shared: self.shared.clone(),
            session: None,
        };
        let spawned = thread::Builder::new()
            .name("db-listen".into())
            .spawn(move || {
                let _end = End(shared);
                run.run();
            });
        let fault = |error| Error::Config(format!("the system gives no thread: {error}").into());
        *thread = Some(spawned.map_err(fault)?);
        Ok(())
    }

    fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread and tells the listeners. Blocks until it has ended, or is held by a frozen
    /// server for too long.
    pub(super) fn close(&self) {
        self.shared.state().is_closed = true;
        self.shared.tell_thread();
        let thread = self.thread().take();
        // A listener may close its own pool.
        let thread = thread.filter(|thread| thread.thread().id() != thread::current().id());
        if let Some(thread) = thread {
            let state = self.shared.state();
            let waited = (self.shared.changed)
                .wait_timeout_while(state, CLOSE_GRACE, |state| !state.has_ended);
            let state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let has_ended = state.has_ended;
            drop(state);
            if has_ended {
                let _ = thread.join();
            } else {
                warn!(target: LOG, "the pool closed while its listening connection would not");
            }
        }
        let entries = mem::take(&mut self.shared.state().entries);
        for entry in entries {
            entry.tell(&ListenEvent::Lost(Error::Closed.into()));
        }
    }
}

/// Says that the thread has ended, however it did.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.state().has_ended = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_thread(&self) {
        self.is_changed.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Tells those listeners an event that `wanted` picks. Not under the lock: they may do
    /// anything.
    fn tell(&self, event: &ListenEvent, mut wanted: impl FnMut(&mut Entry) -> bool) {
        let mut state = self.state();
        let mut picked = Vec::new();
        for entry in &mut state.entries {
            if wanted(entry) {
                picked.push(entry.on_event.clone());
            }
        }
        drop(state);
        for on_event in picked {
            call(&on_event, event);
        }
    }
}

impl Entry {
    fn tell(&self, event: &ListenEvent) {
        call(&self.on_event, event);
    }
}

fn call(on_event: &OnListenEvent, event: &ListenEvent) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_event(event))) {
        let message = deferred::panic_message(&*panic);
        error!(target: LOG, "a listener panicked: {message}");
    }
}

struct ListenThread {
    servers: Vec<Server>,
    shared: Arc<Shared>,
    session: Option<Session>,
}

/// The listening connection.
struct Session {
    client: Client,
    /// What it listens to.
    channels: Vec<Arc<str>>,
}

impl ListenThread {
    fn run(mut self) {
        let (mut pause, mut outage) = (PAUSE, None);
        while self.wait_for_listeners() {
            let Err(reason) = self.turn() else {
                if let Some(since) = outage.take() {
                    let after = Instant::now().saturating_duration_since(since);
                    info!(target: LOG, seconds = after.as_secs(), "listening again");
                }
                pause = PAUSE;
                continue;
            };
            self.session = None;
            if outage.is_none() {
                warn!(target: LOG, "cannot listen, will keep trying: {reason}");
                outage = Some(Instant::now());
            }
            self.tell_lost(&reason);
            self.pause(pause);
            pause = (pause * 2).min(PAUSE_AT_MOST);
        }
    }

    /// Sleeps, without a connection, while nobody listens. False at the close.
    fn wait_for_listeners(&mut self) -> bool {
        let nobody = |state: &State| state.entries.is_empty() && !state.is_closed;
        if nobody(&self.shared.state()) {
            self.session = None;
        }
        let state = self.shared.state();
        let waited = self.shared.changed.wait_while(state, |state| nobody(state));
        !waited.unwrap_or_else(PoisonError::into_inner).is_closed
    }

    /// Waits before the next attempt, unless the pool closes.
    fn pause(&self, pause: Duration) {
        let state = self.shared.state();
        let waited =
            (self.shared.changed).wait_timeout_while(state, pause, |state| !state.is_closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Listens to what is wanted now, for as long as that is the same, at most [`TURN`] while
    /// nothing comes.
    ///
    /// # Errors
    /// Why there is no connection.
    fn turn(&mut self) -> Result<(), String> {
        if self.session.is_none() {
            self.session = Some(self.connect()?);
        }
        let session = self.session.as_mut().expect("it was made now");
        if self.shared.is_changed.swap(false, Ordering::SeqCst) || session.channels.is_empty() {
            session.follow(&self.shared)?;
        }
        loop {
            let mut coming = session.client.notifications();
            let next = coming.timeout_iter(TURN).next();
            let Some(notification) = next.map_err(|error| describe(&error))? else {
                break;
            };
            let event = ListenEvent::Notified(Notification {
                channel: notification.channel().into(),
                payload: notification.payload().into(),
                process_id: notification.process_id(),
            });
            self.shared.tell(&event, |entry| {
                entry.told == Told::Listening && *entry.channel == *notification.channel()
            });
            if self.shared.is_changed.load(Ordering::SeqCst) {
                break;
            }
        }
        if session.client.is_closed() {
            return Err("the connection was lost".to_owned());
        }
        Ok(())
    }

    fn connect(&self) -> Result<Session, String> {
        // The client library panics when the system has no file for it.
        let connect = || Server::connect(&self.servers);
        let client = catch_unwind(AssertUnwindSafe(connect)).unwrap_or_else(|panic| {
            let message = deferred::panic_message(&*panic);
            Err(format!("there was a panic while connecting: {message}"))
        })?;
        Ok(Session {
            client,
            channels: Vec::new(),
        })
    }

    /// Tells whoever was not told yet.
    fn tell_lost(&self, reason: &str) {
        let text = format!("not listening: {reason}");
        let event = ListenEvent::Lost(sql::Error::new(ErrorKind::Unavailable, text));
        self.shared.tell(&event, |entry| {
            mem::replace(&mut entry.told, Told::Lost) != Told::Lost
        });
    }
}

impl Session {
    /// Listens to what is wanted and to nothing else, and tells those who begin to listen.
    fn follow(&mut self, shared: &Shared) -> Result<(), String> {
        let mut wanted: Vec<_> = (shared.state().entries.iter())
            .map(|entry| entry.channel.clone())
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut script = String::new();
        for (word, these, those) in [
            ("UNLISTEN", &self.channels, &wanted),
            ("LISTEN", &wanted, &self.channels),
        ] {
            for channel in these.iter().filter(|channel| !those.contains(channel)) {
                let channel = quote_channel(channel).map_err(|error| error.to_string())?;
                script.push_str(&format!("{word} {channel}; "));
            }
        }
        if !script.is_empty() {
            let listened = self.client.batch_execute(&script);
            listened.map_err(|error| describe(&error))?;
        }
        self.channels = wanted;
        for after_gap in [false, true] {
            shared.tell(&ListenEvent::Listening { after_gap }, |entry| {
                let begins = entry.told != Told::Listening
                    && entry.has_listened == after_gap
                    && self.channels.contains(&entry.channel);
                if begins {
                    entry.told = Told::Listening;
                }
                begins
            });
        }
        let mut state = shared.state();
        for entry in &mut state.entries {
            entry.has_listened |= entry.told == Told::Listening;
        }
        Ok(())
    }
}
