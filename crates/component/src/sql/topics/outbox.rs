//! Owns the outbox of one component: its listener, and the thread that publishes what is new. Must not
//! know how the outbox is written in SQL.

mod pace;
mod publisher;
mod signals;
mod source;
mod tidy;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use sql::{Database, ErrorKind, ListenEvent, Listener};
use wamp::{Pattern, Uri};

use super::{
    super::super::{Error, SessionHandle},
    live::Live,
    settings,
};
use publisher::Publisher;
use signals::Signals;
pub(super) use source::{State, mend};
pub(in crate::sql) use source::{Unusable, check};

/// What wakes whoever reads the outbox.
const CHANNEL: &str = "wampgres_outbox";

/// A component's outbox.
pub(super) struct Outbox {
    topics: Vec<String>,
    signals: Arc<Signals>,
    listener: Mutex<Option<Listener>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Outbox {
    /// Begins to listen, and to publish what is new from then on.
    ///
    /// # Errors
    /// If the system gives no thread, or the database is closed.
    pub(super) fn start(
        settings: &settings::Outbox,
        db: &Arc<dyn Database>,
        session: &SessionHandle,
    ) -> Result<Self, Error> {
        let signals = Arc::new(Signals::default());
        let publisher = Publisher::new(settings, db, session, &signals);
        let thread = thread::Builder::new().name("events".to_owned());
        let ended = signals.clone();
        let thread = thread.spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| publisher.run())).is_err() {
                tracing::error!(target: crate::LOG, "what publishes the outbox has panicked: restart the node");
            }
            ended.live.close();
        });
        let thread = thread.map_err(|error| {
            Error::runtime(format_args!(
                "the system gives no thread for the outbox: {error}"
            ))
        })?;
        let this = Self {
            topics: settings.topics.clone(),
            signals: signals.clone(),
            listener: Mutex::default(),
            thread: Mutex::new(Some(thread)),
        };
        let on_event = move |event: &ListenEvent| match event {
            ListenEvent::Listening { .. } => signals.listening(true),
            ListenEvent::Notified(_) => signals.wake(),
            ListenEvent::Lost(error) if error.kind() == ErrorKind::Closed => signals.close(),
            ListenEvent::Lost(_) => signals.listening(false),
        };
        match db.listen(CHANNEL, Box::new(on_event)) {
            Ok(listener) => *lock(&this.listener) = Some(listener),
            Err(error) => {
                this.close();
                return Err(error.into());
            }
        }
        Ok(this)
    }

    /// What stands for all topics that it may publish to.
    pub(super) fn patterns(&self) -> Vec<Pattern> {
        if self.topics.is_empty() {
            return vec![Pattern::prefix("")];
        }
        let patterns = self.topics.iter().flat_map(|beginning| {
            let below = format!("{beginning}.");
            [Pattern::exact(beginning.as_str()), Pattern::prefix(below)]
        });
        patterns.collect()
    }

    /// Whether it hears what is published.
    pub(super) fn live(&self) -> &Arc<Live> {
        &self.signals.live
    }

    /// There is a session to publish by.
    pub(super) fn joined(&self) {
        self.signals.joined();
    }

    /// Publishes nothing more.
    ///
    /// # Blocking
    /// Until the thread has ended.
    pub(super) fn close(&self) {
        let listener = lock(&self.listener).take();
        drop(listener);
        self.signals.close();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A panic in it is told of already.
            let _ = thread.join();
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether a topic begins with one of these, in whole parts; all do if there are none.
fn is_among(beginnings: &[String], topic: &Uri) -> bool {
    let begins = |beginning: &String| {
        let rest = topic.as_str().strip_prefix(beginning.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    beginnings.is_empty() || beginnings.iter().any(begins)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_begin_in_whole_parts() {
        let shop = ["com.shop".to_owned(), "org".to_owned()];
        for (topic, among) in [
            ("com.shop", true),
            ("com.shop.stock", true),
            ("com.shopping", false),
            ("com", false),
            ("org.x", true),
        ] {
            assert_eq!(is_among(&shop, &topic.into()), among, "{topic}");
            assert!(is_among(&[], &topic.into()));
        }
    }
}
