//! Owns what an error type must be for a result that will come; knows nothing of jobs.

use std::any::Any;

/// An error type that a [`Deferred`](crate::Deferred) can fire with.
pub trait Failure: Send + Sized + 'static {
    /// The error without its details, for counting.
    type Kind: Copy + Send;

    /// The job was cancelled.
    fn cancelled() -> Self;

    /// The promise was dropped without a result.
    fn dropped() -> Self;

    /// A panic dropped the promise.
    fn panicked(message: &str) -> Self;

    /// What kind of error this is.
    fn kind(&self) -> Self::Kind;

    /// A callback of [`Deferred::on_result`](crate::Deferred::on_result) has panicked with this
    /// message: log it. Nobody else can be told.
    fn callback_panicked(message: &str);
}

/// The kind of a cancelled job's error.
pub(super) fn cancelled<E: Failure>() -> E::Kind {
    E::cancelled().kind()
}

/// What a panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
