//! Owns the way from a channel of NOTIFY to its topic. Must not know the outbox.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicBool, Ordering},
};

use sql::{Database, ErrorKind, ListenEvent, Listener};
use wamp::{Payload, PublishOptions, Uri};

use super::{
    super::super::{Error, SessionHandle},
    event,
    live::Live,
    settings::Channel,
};

/// A channel whose notifications are published.
pub(super) struct ChannelTopic {
    name: String,
    pub(super) topic: Uri,
    is_text: bool,
    session: SessionHandle,
    pub(super) live: Arc<Live>,
    /// Something that was notified has not been published, or may not have been.
    is_missing: AtomicBool,
    listener: Mutex<Option<Listener>>,
}

impl ChannelTopic {
    /// Begins to listen.
    ///
    /// # Errors
    /// If there can be no such channel.
    pub(super) fn listen(
        channel: &Channel,
        db: &dyn Database,
        session: &SessionHandle,
    ) -> Result<Arc<Self>, Error> {
        let this = Arc::new(Self {
            name: channel.name.clone(),
            topic: channel.topic.clone(),
            is_text: channel.is_text,
            session: session.clone(),
            live: Arc::default(),
            is_missing: AtomicBool::default(),
            listener: Mutex::default(),
        });
        let listening = Arc::downgrade(&this);
        let on_event = move |event: &ListenEvent| {
            if let Some(this) = Weak::upgrade(&listening) {
                this.hear(event);
            }
        };
        let listener = db.listen(&this.name, Box::new(on_event))?;
        *this.listener() = Some(listener);
        Ok(this)
    }

    fn hear(self: &Arc<Self>, event: &ListenEvent) {
        match event {
            ListenEvent::Listening { after_gap } => {
                self.is_missing.fetch_or(*after_gap, Ordering::Relaxed);
                self.live.begin();
                self.tell_missing();
            }
            ListenEvent::Notified(notification) => {
                self.tell_missing();
                match event::arguments(&notification.payload, self.is_text) {
                    Ok(payload) => self.publish(payload),
                    Err(error) => self.not_published(&error.to_string()),
                }
            }
            ListenEvent::Lost(error) if error.kind() == ErrorKind::Closed => self.live.close(),
            ListenEvent::Lost(_) => {
                self.live.lose();
            }
        }
    }

    /// There is a session to publish by.
    pub(super) fn joined(self: &Arc<Self>) {
        self.tell_missing();
    }

    /// Tells subscribers if something may be missing, as soon as that can be done.
    fn tell_missing(self: &Arc<Self>) {
        if self.session.is_joined() && self.is_missing.swap(false, Ordering::Relaxed) {
            self.publish(event::missing());
        }
    }

    fn publish(self: &Arc<Self>, payload: Payload) {
        let this = self.clone();
        let options = PublishOptions::default();
        let published = (self.session).publish_acknowledged(self.topic.clone(), payload, options);
        published.on_result(move |result| {
            if let Err(error) = result {
                // Nobody misses what the realm lets nobody have.
                let is_lost = event::is_unsent(&error);
                this.is_missing.fetch_or(is_lost, Ordering::Relaxed);
                this.not_published(&error.to_string());
            }
        });
    }

    fn not_published(&self, why: &str) {
        let (channel, topic) = (&self.name, &self.topic);
        tracing::warn!(target: crate::LOG, channel, %topic, "a notification is not published: {why}");
    }

    /// Listens no more.
    pub(super) fn close(&self) {
        let listener = self.listener().take();
        drop(listener);
        self.live.close();
    }

    fn listener(&self) -> MutexGuard<'_, Option<Listener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
