//! The topics a class subscribes to, and an event as its method sees it. Must not know how events
//! get here.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{Error, arguments};
use wamp::{EventDetails, Identity, Payload, PublicationId, SubscribeOptions, Uri};

/// A subscription of a class: its topic and the method that takes the events.
pub struct Subscription<C> {
    pub(super) topic: Uri,
    pub(super) options: SubscribeOptions,
    pub(super) method: UnboundMethod<C>,
}

type UnboundMethod<C> = Box<dyn Fn(&C, Event) -> Result<(), Error> + Send + Sync>;

impl<C> Subscription<C> {
    /// Has `method` called with each event on `topic`. It runs on an I/O thread and must not block.
    /// Nobody waits for what it returns: an error is logged.
    ///
    /// Events come in their order and one at a time. A component does not receive what it publishes
    /// itself, unless it asks for it (`exclude_me`).
    pub fn new(
        topic: impl Into<Uri>,
        method: impl Fn(&C, Event) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            topic: topic.into(),
            options: SubscribeOptions::default(),
            method: Box::new(method),
        }
    }

    pub(super) fn bind(self, component: &Arc<C>) -> BoundSubscription
    where
        C: Send + Sync + 'static,
    {
        let component = component.clone();
        BoundSubscription {
            topic: self.topic,
            options: self.options,
            method: Box::new(move |event| (self.method)(&component, event)),
        }
    }

    /// Subscribes with these options. The router of this node serves no other than `exact` topics;
    /// one that is dialled may.
    #[must_use]
    pub fn options(mut self, options: SubscribeOptions) -> Self {
        self.options = options;
        self
    }
}

impl Subscription<()> {
    /// Has `function`, which is no class's, called with each event on `topic`: for
    /// [`SessionHandle::subscribe`](super::SessionHandle::subscribe).
    pub fn function(
        topic: impl Into<Uri>,
        function: impl Fn(Event) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self::new(topic, move |(), event| function(event))
    }
}

/// A subscription bound to its instance.
pub(super) struct BoundSubscription {
    pub(super) topic: Uri,
    pub(super) options: SubscribeOptions,
    pub(super) method: Box<dyn Fn(Event) -> Result<(), Error> + Send + Sync>,
}

/// An event on a topic.
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) topic: Uri,
    pub(super) publication: PublicationId,
    pub(super) details: EventDetails,
    pub(super) payload: Payload,
}

impl Event {
    /// The topic that was subscribed to.
    pub fn topic(&self) -> &Uri {
        &self.topic
    }

    /// The publication that it is; the same for all its receivers.
    pub fn publication(&self) -> PublicationId {
        self.publication
    }

    /// Who published; `None` unless the permission that allowed it, or the publisher, discloses
    /// that.
    pub fn publisher(&self) -> Option<&Identity> {
        self.details.publisher.as_deref()
    }

    /// The positional arguments as `T`; see [`Invocation::args`](super::Invocation::args).
    ///
    /// # Errors
    /// `wamp.error.invalid_argument` that says which argument is wrong and what it should be.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, Error> {
        arguments::args(&self.payload)
    }

    /// The keyword arguments as `T`, a struct or a map.
    ///
    /// # Errors
    /// `wamp.error.invalid_argument` that says which argument is wrong and what it should be.
    pub fn kwargs<T: DeserializeOwned>(&self) -> Result<T, Error> {
        arguments::kwargs(&self.payload)
    }
}
