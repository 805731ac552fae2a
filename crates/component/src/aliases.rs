//! The types of the crate `deferred` with the error of this crate, and how that error stands for
//! what goes wrong with a result.

use super::Error;
use deferred::Failure;
use wamp::error_uri;

/// A result that will come, such as that of a call; see [`deferred::Deferred`].
pub type Deferred<T> = deferred::Deferred<T, Error>;

/// The duty to fire a [`Deferred`]; see [`deferred::Promise`].
pub type Promise<T> = deferred::Promise<T, Error>;

/// Makes a result that will come: the promise to give it and the deferred to receive it.
pub fn deferred<T: Send + 'static>() -> (Promise<T>, Deferred<T>) {
    deferred::deferred()
}

impl Failure for Error {
    type Kind = ();

    fn cancelled() -> Self {
        Self::new(error_uri::CANCELED, "the call was canceled")
    }

    fn dropped() -> Self {
        Self::runtime("the procedure has failed: nobody is left who could give the result")
    }

    fn panicked(_: &str) -> Self {
        // It is logged where it is caught.
        Self::panicked()
    }

    fn kind(&self) {}

    fn callback_panicked(message: &str) {
        tracing::error!(target: crate::LOG, message, "a callback of a result has panicked");
    }
}
