//! Owns the listening of a pool: who listens to what, and what each was told. Its one connection is
//! a slot of the first shard. Must not know jobs.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sql::{Error, ErrorKind, ListenEvent, Listener, Notification, OnListenEvent, quote_channel};
use tracing::{error, info, warn};

use super::{
    error::{LOG, closed},
    pool::{Locked, Owed, Pool, Purpose, Stage, Ticket},
};

/// The shard that has the listening connection.
const SHARD: usize = 0;

/// The pauses between attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_AT_MOST: Duration = Duration::from_secs(5);

/// The listening of one pool.
#[derive(Default)]
pub(crate) struct Listening {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    last_id: u64,
    /// What the connection listens to, or was asked to.
    channels: Vec<Arc<str>>,
    /// The connection is asked to listen to `channels`; it has not answered.
    is_asking: bool,
    outage: Option<Outage>,
}

/// There is no listening connection.
struct Outage {
    since: Instant,
    again_at: Instant,
    pause: Duration,
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
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic happens under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Somebody has notified a channel.
    pub(crate) fn notified(&self, notification: Notification) {
        let channel = notification.channel.clone();
        self.tell(&ListenEvent::Notified(notification), |entry| {
            entry.told == Told::Listening && *entry.channel == *channel
        });
    }

    /// The pool has ended.
    pub(crate) fn close(&self) {
        let entries = mem::take(&mut self.state().entries);
        for entry in entries {
            call(&entry.on_event, &ListenEvent::Lost(closed()));
        }
    }
}

fn call(on_event: &OnListenEvent, event: &ListenEvent) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_event(event))) {
        let message = deferred::panic_message(&*panic);
        error!(target: LOG, "a listener panicked: {message}");
    }
}

impl State {
    /// The script that makes the connection listen to what is wanted and to nothing else.
    fn follow(&mut self) -> String {
        let mut wanted: Vec<_> = (self.entries.iter())
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
                if let Ok(channel) = quote_channel(channel) {
                    script.push_str(&format!("{word} {channel}; "));
                }
            }
        }
        self.channels = wanted;
        script
    }
}

impl Pool {
    /// See [`Database::listen`](sql::Database::listen).
    pub(crate) fn listen(
        self: &Arc<Self>,
        channel: &str,
        on_event: OnListenEvent,
    ) -> Result<Listener, Error> {
        quote_channel(channel)?;
        self.start()?;
        let mut state = self.listening.state();
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
        self.follow();
        let pool = Arc::downgrade(self);
        Ok(Listener::new(move || {
            let Some(pool) = pool.upgrade() else { return };
            let mut state = pool.listening.state();
            let ended = state.entries.iter().position(|entry| entry.id == id);
            let ended = ended.map(|at| state.entries.remove(at));
            drop(state);
            pool.follow();
            drop(ended);
        }))
    }

    /// Has the listening connection opened, closed or told what to listen to.
    fn follow(self: &Arc<Self>) {
        let now = Instant::now();
        let is_told = self.act(SHARD, now, |locked| locked.follow(&self.listening));
        if is_told {
            self.tell_listening();
        }
    }

    /// The listening connection is there.
    pub(crate) fn can_listen(self: &Arc<Self>) {
        let outage = self.listening.state().outage.take();
        if let Some(outage) = outage {
            let seconds = outage.since.elapsed().as_secs();
            info!(target: LOG, seconds, "listening again");
        }
        self.follow();
    }

    /// The listening connection has done what it was asked to.
    pub(crate) fn listens(self: &Arc<Self>) {
        self.listening.state().is_asking = false;
        self.tell_listening();
        self.follow();
    }

    fn tell_listening(&self) {
        let channels = self.listening.state().channels.clone();
        for after_gap in [false, true] {
            let event = ListenEvent::Listening { after_gap };
            self.listening.tell(&event, |entry| {
                let begins = entry.told != Told::Listening
                    && entry.has_listened == after_gap
                    && channels.contains(&entry.channel);
                if begins {
                    entry.told = Told::Listening;
                }
                begins
            });
        }
        for entry in &mut self.listening.state().entries {
            entry.has_listened |= entry.told == Told::Listening;
        }
    }

    /// The listening connection is lost or cannot be had: tells whoever was not told yet.
    pub(crate) fn not_listening(self: &Arc<Self>, reason: &str) {
        let now = Instant::now();
        let mut state = self.listening.state();
        state.channels.clear();
        state.is_asking = false;
        let before = state.outage.take();
        let pause = before
            .as_ref()
            .map_or(PAUSE, |outage| (outage.pause * 2).min(PAUSE_AT_MOST));
        let is_new = before.is_none();
        let again_at = now + pause;
        state.outage = Some(Outage {
            since: before.map_or(now, |outage| outage.since),
            again_at,
            pause,
        });
        drop(state);
        if is_new && !self.is_closed() {
            warn!(target: LOG, "cannot listen, will keep trying: {reason}");
        }
        let text = format!("not listening: {reason}");
        let event = ListenEvent::Lost(Error::new(ErrorKind::Unavailable, text));
        self.listening.tell(&event, |entry| {
            mem::replace(&mut entry.told, Told::Lost) != Told::Lost
        });
        self.act(SHARD, now, |locked| locked.arm(again_at));
    }

    /// Tries again to get the listening connection, if it is time.
    pub(crate) fn listen_on_time(self: &Arc<Self>, now: Instant) {
        let state = self.listening.state();
        let is_wanted = !state.entries.is_empty();
        let Some(again_at) = state.outage.as_ref().map(|outage| outage.again_at) else {
            return;
        };
        drop(state);
        if !is_wanted {
            return;
        }
        if again_at <= now {
            self.follow();
        } else {
            self.act(SHARD, now, |locked| locked.arm(again_at));
        }
    }
}

impl Locked<'_> {
    /// Opens, closes or tells the listening connection what is wanted now. True if it listens to
    /// all of that already.
    fn follow(&mut self, listening: &Listening) -> bool {
        let mut state = listening.state();
        let slots = self.state.slots.iter();
        let at = slots
            .clone()
            .position(|slot| slot.purpose == Purpose::Listening && !slot.is_retired);
        let is_wanted = !state.entries.is_empty();
        let Some(at) = at else {
            let pauses = (state.outage.as_ref()).is_some_and(|outage| outage.again_at > self.now);
            if is_wanted && !pauses && !self.state.is_closing {
                state.channels.clear();
                state.is_asking = false;
                drop(state);
                self.open_to_listen();
            }
            return false;
        };
        if !matches!(self.state.slots[at].stage, Stage::Open) || state.is_asking {
            return false;
        }
        let script = state.follow();
        if !is_wanted {
            state.channels.clear();
            self.state.slots[at].is_retired = true;
            self.call(at);
            return false;
        }
        if script.is_empty() {
            return true;
        }
        state.is_asking = true;
        drop(state);
        let ticket = Ticket::own(Owed::Listen, self.now);
        self.send_own(at, ticket, script);
        false
    }

    fn open_to_listen(&mut self) {
        let wanted = self.pool.servers.wanted_to_listen();
        if !self.open(Purpose::Listening, wanted) {
            // The clock asks again.
            self.arm(self.now + PAUSE);
        }
    }
}
