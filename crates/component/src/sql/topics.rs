//! The topics that a database publishes to: by NOTIFY, and by `wampgres.publish()` in SQL. Owns what a
//! component has of them, from its start to its end. Must not know how procedures are written.

mod channel;
mod event;
mod live;
mod outbox;
mod settings;
mod since;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sql::Database;
use wamp::Uri;

use super::super::{Deferred, Error, Procedure, SessionHandle};
use channel::ChannelTopic;
use live::Live;
use outbox::Outbox;
pub(super) use outbox::{Unusable, check as check_outbox};
pub(super) use settings::Settings;
pub use table::{CHANNEL_OPTIONS, OUTBOX_OPTIONS};

/// What publishes for a component.
#[derive(Default)]
pub(super) struct Topics {
    channels: Vec<Arc<ChannelTopic>>,
    outbox: Option<Outbox>,
    since: Option<Arc<since::Since>>,
}

/// What something here publishes to.
enum Publishes<'a> {
    To(&'a Uri),
    All(&'a Outbox),
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
        };
        if let Some(live) = this.live(|_| true) {
            live.on_result(|result| {
                if result.is_ok() {
                    tracing::info!(target: crate::LOG, "the topics of the database are live");
                }
            });
        }
        Ok(this)
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

    /// When all that publishes to a topic hears what happens. `None` if nothing here publishes to it.
    #[expect(dead_code, reason = "the router does not ask before SUBSCRIBED yet")]
    pub(super) fn live_for(&self, topic: &Uri) -> Option<Deferred<()>> {
        self.live(|publisher| match publisher {
            Publishes::To(other) => other == topic,
            Publishes::All(outbox) => outbox.has(topic),
        })
    }

    fn live(&self, wanted: impl Fn(Publishes<'_>) -> bool) -> Option<Deferred<()>> {
        let channels = (self.channels.iter())
            .filter(|channel| wanted(Publishes::To(&channel.topic)))
            .map(|channel| &channel.live);
        let outbox = (self.outbox.iter())
            .filter(|outbox| wanted(Publishes::All(outbox)))
            .map(Outbox::live);
        live::all(channels.chain(outbox).map(Live::wait))
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
    }
}
