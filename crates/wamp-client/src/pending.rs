//! The requests of a session that have no answer yet. Must not know how they were sent.

use std::{collections::HashMap, mem};

use super::Error;
use wamp::{
    OwnIds, Payload, PublicationId, RegistrationId, RequestId, RequestType, SubscriptionId,
};

/// Takes the outcome of a request.
pub(super) type OnResult<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;

/// Takes a part of a call's result.
pub(super) type OnProgress = Box<dyn FnMut(Payload) + Send>;

/// A request without its answer, and who waits for it.
pub(super) enum Request {
    Call {
        /// Not there while it is being called.
        on_progress: Option<OnProgress>,
        on_result: OnResult<Payload>,
    },
    Publish(OnResult<PublicationId>),
    Subscribe(OnResult<SubscriptionId>),
    Unsubscribe(OnResult<()>),
    Register(OnResult<RegistrationId>),
    Unregister(OnResult<()>),
}

impl Request {
    pub(super) fn request_type(&self) -> RequestType {
        match self {
            Self::Call { .. } => RequestType::Call,
            Self::Publish(_) => RequestType::Publish,
            Self::Subscribe(_) => RequestType::Subscribe,
            Self::Unsubscribe(_) => RequestType::Unsubscribe,
            Self::Register(_) => RequestType::Register,
            Self::Unregister(_) => RequestType::Unregister,
        }
    }

    pub(super) fn fail(self, error: Error) {
        match self {
            Self::Call { on_result, .. } => on_result(Err(error)),
            Self::Publish(on_result) => on_result(Err(error)),
            Self::Subscribe(on_result) => on_result(Err(error)),
            Self::Register(on_result) => on_result(Err(error)),
            Self::Unsubscribe(on_result) | Self::Unregister(on_result) => on_result(Err(error)),
        }
    }
}

/// All of them, by their ids, which this client counts itself.
#[derive(Default)]
pub(super) struct Pending(HashMap<RequestId, Request, OwnIds>);

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn insert(&mut self, id: RequestId, request: Request) {
        self.0.insert(id, request);
    }

    /// Takes out the request with this id if it is of this type.
    pub(super) fn take(&mut self, id: RequestId, request_type: RequestType) -> Option<Request> {
        self.is(id, request_type).then(|| self.0.remove(&id))?
    }

    pub(super) fn is(&self, id: RequestId, request_type: RequestType) -> bool {
        let request = self.0.get(&id);
        request.is_some_and(|request| request.request_type() == request_type)
    }

    /// The place of a pending call for who takes the parts of its result.
    pub(super) fn progress(&mut self, id: RequestId) -> Option<&mut Option<OnProgress>> {
        if let Request::Call { on_progress, .. } = self.0.get_mut(&id)? {
            Some(on_progress)
        } else {
            None
        }
    }

    /// Takes out all of them, in the order in which they were made.
    pub(super) fn take_all(&mut self) -> Vec<Request> {
        let mut all: Vec<_> = mem::take(&mut self.0).into_iter().collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all.into_iter().map(|(_, request)| request).collect()
    }
}
