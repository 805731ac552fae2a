//! Owns the thread that reads the outbox and publishes what it finds, each event once and in order, and
//! says so when it cannot. Must not know how the outbox is written in SQL.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use sql::Database;
use wamp::{PublicationId, PublishOptions, Uri, error_uri};

use super::{
    super::{
        super::super::{Deferred, Error, SessionHandle},
        event::{self, Event},
        settings,
    },
    is_among,
    pace::{AWAKE, Ask, Pace},
    signals::Signals,
    source::{Source, State, is_over, mend},
    tidy::Tidy,
};

/// The pauses between tries after an error.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_AT_MOST: Duration = Duration::from_secs(5);

/// What the thread knows.
pub(super) struct Publisher {
    topics: Vec<String>,
    ids: bool,
    missing: Uri,
    session: SessionHandle,
    signals: Arc<Signals>,
    source: Source,
    tidy: Tidy,
    pace: Pace,
    /// Up to where the outbox is read; none before it was read for the first time.
    position: Option<String>,
    timeline: Option<String>,
    /// Read, and not published yet.
    unpublished: VecDeque<Event>,
    /// It could not read or publish for a time, in which events may have been deleted.
    was_cut_off: bool,
    trouble: Option<Trouble>,
}

/// What keeps it from reading.
struct Trouble {
    told: String,
    pause: Duration,
    again_at: Instant,
}

impl Publisher {
    pub(super) fn new(
        settings: &settings::Outbox,
        db: &Arc<dyn Database>,
        session: &SessionHandle,
        signals: &Arc<Signals>,
    ) -> Self {
        let now = Instant::now();
        Self {
            topics: settings.topics.clone(),
            ids: settings.ids,
            missing: settings.missing.clone(),
            session: session.clone(),
            signals: signals.clone(),
            source: Source::new(db.clone(), signals.clone()),
            tidy: Tidy::new(settings, db, now),
            pace: Pace::new(now),
            position: None,
            timeline: None,
            unpublished: VecDeque::new(),
            was_cut_off: false,
            trouble: None,
        }
    }

    /// Publishes until the component ends.
    ///
    /// # Blocking
    /// Until then.
    pub(super) fn run(mut self) {
        while let Some(signal) = self.signals.wait(self.due()) {
            let now = Instant::now();
            if signal.begins {
                self.was_cut_off |= self.position.is_some();
                self.pace.listens(now);
            }
            if signal.is_woken {
                self.pace.wake(now);
            }
            if signal.begins
                || self
                    .trouble
                    .as_ref()
                    .is_none_or(|trouble| trouble.again_at <= now)
            {
                match self.turn() {
                    Ok(()) => self.recover(),
                    Err(error) if is_over(&error) => break,
                    Err(error) => self.note_trouble(&error),
                }
            }
        }
        self.tidy.close();
    }

    fn due(&self) -> Instant {
        match &self.trouble {
            Some(trouble) => trouble.again_at,
            None => self.pace.due().min(self.tidy.due()),
        }
    }

    /// Reads what is new and publishes it.
    fn turn(&mut self) -> Result<(), sql::Error> {
        let now = Instant::now();
        if self.pace.due() > now && self.unpublished.is_empty() {
            self.tidy.begin(now);
            return Ok(());
        }
        if !self.publish() {
            return Ok(());
        }
        let page = self.source.read(self.position.as_deref())?;
        self.look_for_gaps(&page.state);
        let found = page.state.found(page.events.len())?;
        let topics = &self.topics;
        let events = page.events.into_iter();
        (self.unpublished).extend(events.filter(|event| is_among(topics, &event.topic)));
        self.position = Some(page.state.position);
        self.publish();
        if self.signals.is_listening() && !found.more {
            self.signals.live.begin();
        }
        match self.pace.note(Instant::now(), found) {
            Some(Ask::StayAwake) => self.source.stay_awake(AWAKE)?,
            Some(Ask::NextTransaction) => self.pace.note_next(self.source.next_transaction()?),
            None => {}
        }
        self.tidy.begin(Instant::now());
        Ok(())
    }

    /// Tells subscribers if events may have been lost before they were read.
    fn look_for_gaps(&mut self, state: &State) {
        let Some(position) = &self.position else {
            self.timeline.clone_from(&state.timeline);
            return;
        };
        let has_failed_over = self.timeline != state.timeline;
        let has_missed = std::mem::take(&mut self.was_cut_off) && state.missing;
        if !has_failed_over && !has_missed {
            return;
        }
        if has_failed_over && state.is_behind(position) {
            // Nothing here would be new for a long time.
            self.position = Some(state.position.clone());
        }
        self.timeline.clone_from(&state.timeline);
        let why = if has_failed_over {
            "the server is another one now, which may not have all that was committed"
        } else {
            "events were deleted before they were published: raise `max_age` or `max_bytes` in \
             extra.topics.outbox"
        };
        tracing::error!(target: crate::LOG, "events may be missing: {why}");
        let payload = event::missing();
        let published =
            (self.session).publish_with(self.missing.clone(), payload, PublishOptions::default());
        if let Err(error) = published {
            tracing::warn!(target: crate::LOG, "{} is not told of it: {error}", self.missing);
        }
    }

    /// Publishes what was read; `false` if there is no session to do it by.
    fn publish(&mut self) -> bool {
        let sent: Vec<_> = (self.unpublished.iter())
            .map(|event| self.send(event))
            .collect();
        // The answers come in the order of the publications.
        for sent in sent {
            let result = sent.and_then(|sent| self.wait(sent));
            if result.as_ref().is_err_and(event::is_unsent) {
                self.was_cut_off = true;
                let now = Instant::now();
                self.signals.wait_while(now + PAUSE, || true);
                let is_away = || !self.session.is_joined();
                self.signals.wait_while(now + PAUSE_AT_MOST, is_away);
                return false;
            }
            if let (Some(event), Err(error)) = (self.unpublished.pop_front(), result) {
                let (id, topic) = (event.id, &event.topic);
                tracing::warn!(target: crate::LOG, id, %topic, "an event is not published: {error}");
            }
        }
        true
    }

    fn send(&self, event: &Event) -> Result<Deferred<PublicationId>, Error> {
        let payload = event.payload(self.ids)?;
        let topic = event.topic.clone();
        Ok(self
            .session
            .publish_acknowledged(topic, payload, event.options()))
    }

    /// Waits for the router's answer, or the close.
    fn wait(&self, mut sent: Deferred<PublicationId>) -> Result<(), Error> {
        loop {
            match sent.wait_timeout(PAUSE) {
                Ok(result) => return result.map(drop),
                Err(_) if self.signals.is_closed() => {
                    return Err(Error::new(error_uri::CANCELED, "the component ends"));
                }
                Err(waiting) => sent = waiting,
            }
        }
    }

    fn recover(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!(target: crate::LOG, "the outbox is read again");
        }
    }

    /// Tells what is wrong, once, and tries again later.
    fn note_trouble(&mut self, error: &sql::Error) {
        if self.signals.is_closed() {
            return;
        }
        self.was_cut_off |= self.position.is_some();
        self.signals.live.lose();
        let mend = mend(error).map_or_else(String::new, |mend| format!("; {mend}"));
        let told = format!("the outbox cannot be read, will keep trying: {error}{mend}");
        let before = self.trouble.take();
        if before.as_ref().is_none_or(|before| before.told != told) {
            tracing::error!(target: crate::LOG, "{told}");
        }
        let pause = before.map_or(PAUSE, |before| (before.pause * 2).min(PAUSE_AT_MOST));
        self.trouble = Some(Trouble {
            told,
            pause,
            again_at: Instant::now() + pause,
        });
    }
}
