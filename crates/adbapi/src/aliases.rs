//! Owns the names of the crate `deferred`'s types with the pool's error; decides nothing.

use std::sync::Arc;

use super::error::Error;

/// A result of the pool that will come; see [`deferred::Deferred`].
pub type Deferred<T> = deferred::Deferred<T, Error>;

/// The duty to fire a [`Deferred`]; see [`deferred::Promise`]. Dropped without a result, it fires
/// with [`Error::Dropped`], or with [`Error::Panicked`] if a panic dropped it.
pub type Promise<T> = deferred::Promise<T, Error>;

/// Cancels the job behind a [`Deferred`], which then fires with [`Error::Cancelled`]; see
/// [`deferred::CancelHandle`].
pub type CancelHandle = deferred::CancelHandle<Error>;

/// Makes a result that will come: the promise to give it and the deferred to receive it.
pub fn deferred<T: Send + 'static>() -> (Promise<T>, Deferred<T>) {
    deferred::deferred()
}

/// The state of a job, shared with those who may end it.
pub(super) type JobControl = Arc<dyn deferred::Control<Error>>;
