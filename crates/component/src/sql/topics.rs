//! The topics that a database publishes to: by NOTIFY, and by `wampgres.publish()` in SQL. Owns what a
//! component has of them, from its start to its end. Must not know how procedures are written.

mod channel;
mod event;
mod guards;
mod live;
mod outbox;
mod settings;
mod since;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sql::Database;
use wamp::Pattern;

use super::super::{Deferred, Error, Procedure, SessionHandle};
use channel::ChannelTopic;
use guards::Guards;
use outbox::Outbox;
pub(super) use outbox::{Unusable, check as check_outbox};
pub(super) use settings::Settings;
pub use table::{CHANNEL_OPTIONS, EVENTS_AT_ONCE, OCTETS_AT_ONCE, OUTBOX_OPTIONS};

/// What publishes for a component.
#[derive(Default)]
pub(super) struct Topics {
    channels: Vec<Arc<ChannelTopic>>,
    outbox: Option<Outbox>,
    since: Option<Arc<since::Since>>,
    /// By them nobody has subscribed before something listens.
    guards: Arc<Guards>,
}

impl Topics {
    /// Begins to listen. A database that is down is tried again until it is there.
    ///
    /// # Errors
    /// If there can be no such channel, or the system gives no thread.
    pub(super) fn start(
        settings: &Settings,
        db: &Arc<dyn Database>,
        session: &SessionHandle,
    ) -> Result<Self, Error> {
        let channels = settings.channels.iter();
        let channels = channels.map(|channel| ChannelTopic::listen(channel, &**db, session));
        let outbox = settings.outbox.as_ref();
        let since = outbox.map(|outbox| Arc::new(since::Since::new(outbox, db.clone())));
        let this = Self {
            channels: channels.collect::<Result<_, _>>()?,
            outbox: outbox
                .map(|outbox| Outbox::start(outbox, db, session))
                .transpose()?,
            since,
            guards: Arc::default(),
        };
        this.guard(session);
        if let Some(live) = this.live() {
            live.on_result(|result| {
                if result.is_ok() {
                    tracing::info!(target: crate::LOG, "the topics of the database are live");
                }
            });
        }
        Ok(this)
    }

    /// Has the router wait with SUBSCRIBED until what publishes to the topic listens.
    fn guard(&self, session: &SessionHandle) {
        for channel in &self.channels {
            let pattern = Pattern::exact(channel.topic.clone());
            self.guards.add(session, pattern, &channel.live);
        }
        if let Some(outbox) = &self.outbox {
            for pattern in outbox.patterns() {
                self.guards.add(session, pattern, outbox.live());
            }
        }
    }

    /// When everything listens. `None` if there is nothing.
    fn live(&self) -> Option<Deferred<()>> {
        let channels = self.channels.iter().map(|channel| channel.live.wait());
        let outbox = self.outbox.iter().map(|outbox| outbox.live().wait());
        live::all(channels.chain(outbox))
    }

    /// The component's session has begun: now there is somebody to publish to.
    pub(super) fn joined(&self) {
        for channel in &self.channels {
            channel.joined();
        }
        if let Some(outbox) = &self.outbox {
            outbox.joined();
        }
    }

    /// The procedure that gives what came since an event, where there is an outbox.
    pub(super) fn procedure<C: 'static>(&self) -> Option<Procedure<C>> {
        let since = self.since.clone()?;
        Some(Procedure::new(since.uri.clone(), move |_: &C, call| {
            since.call(&call)
        }))
    }

    /// Ends it: nothing is published any more.
    ///
    /// # Blocking
    /// Until what is under way in the database has ended, which is cancelled.
    pub(super) fn close(&self) {
        for channel in &self.channels {
            channel.close();
        }
        if let Some(outbox) = &self.outbox {
            outbox.close();
        }
        self.guards.end();
    }
}
