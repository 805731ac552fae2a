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
        Ok(Self {
            channels: channels.collect::<Result<_, _>>()?,
            outbox: outbox
                .map(|outbox| Outbox::start(outbox, db, session))
                .transpose()?,
            since,
        })
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
    pub(super) fn live(&self, topic: &Uri) -> Option<Deferred<()>> {
        let channels = self.channels.iter();
        let channels = channels.filter(|channel| channel.topic == *topic);
        let outbox = self.outbox.iter().filter(|outbox| outbox.has(topic));
        let waits = channels.map(|channel| channel.live.wait());
        live::all(waits.chain(outbox.map(|outbox| outbox.live().wait())))
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
