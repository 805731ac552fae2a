//! What a session's owner is told that it has not asked for. Must not know what it does about it.

use std::{fmt, sync::Arc};

use super::{Client, Error, answer};
use wamp::{
    ClosingDetails, Event, Identity, Interrupt, Invocation, Message, Question, RequestId, Revoked,
    SHOWN, Ticket, Uri, Welcome, error_uri, excerpt,
};

/// The owner of a [`Client`]. All methods but [`on_answer_posted`](Self::on_answer_posted) are
/// called one at a time, on whichever thread brought the message. They must not block.
pub trait Handler: Send + Sync + Sized + 'static {
    /// The session is open: requests may be made from now on.
    fn on_join(&self, client: &Client<Self>, welcome: Welcome) {
        let _ = (client, welcome);
    }

    /// A call to a procedure of this session: to be answered once, by [`Client::answer`] or by an
    /// [`answer()`] that is posted. Whoever registers nothing need not serve it. A router of this
    /// process says who calls, whatever of it is disclosed to callees.
    fn on_invocation(
        &self,
        client: &Client<Self>,
        invocation: Invocation,
        caller: Option<Arc<Identity>>,
    ) {
        drop(caller);
        let why = "this client has no procedures";
        let error = Error::new(error_uri::NO_SUCH_REGISTRATION, why);
        client.send(answer(invocation.request, Err(error)));
    }

    /// The answer to an invocation is no longer wanted; `mode` says whether it is to come all the
    /// same.
    fn on_interrupt(&self, client: &Client<Self>, interrupt: Interrupt) {
        let _ = (client, interrupt);
    }

    /// A guard of this session is asked, by a router of this process: to be answered once, by
    /// [`Client::answer_question`]. Whoever guards nothing need not serve it.
    fn on_question(&self, client: &Client<Self>, question: Question) {
        let _ = (client, question);
    }

    /// Nobody waits for the answer to a question any more.
    fn on_withdrawn(&self, client: &Client<Self>, question: Ticket) {
        let _ = (client, question);
    }

    /// An answer to this invocation, which was posted, is about to be sent. Called beside the other
    /// methods.
    fn on_answer_posted(&self, request: RequestId) {
        let _ = request;
    }

    /// An event on a subscription of this session.
    fn on_event(&self, client: &Client<Self>, event: Event) {
        let _ = (client, event);
    }

    /// The router has ended a registration.
    fn on_revoked(&self, client: &Client<Self>, revoked: Revoked) {
        let _ = (client, revoked);
    }

    /// A message that answers nothing, or is not for clients. Nothing is done about it.
    fn on_ignored(&self, message: Message) {
        drop(message);
    }

    /// The router has said GOODBYE after the end of the session, which is its answer to
    /// [`Client::leave`]: all that it had to say has come.
    fn on_left(&self, client: &Client<Self>) {
        let _ = client;
    }

    /// The session has ended, or nothing has come of it: the only call if the router was never
    /// reached. Requests without their answer fail next. What comes later all the same goes to
    /// [`on_ignored`](Self::on_ignored) and [`on_left`](Self::on_left).
    fn on_end(&self, client: &Client<Self>, end: &End) {
        let _ = (client, end);
    }
}

/// How a session has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By [`Client::leave`], with this reason.
    Left(Uri),
    /// By the router's ABORT or GOODBYE.
    ByRouter {
        /// Why, for programs.
        reason: Uri,
        /// What happened, for people.
        message: Option<String>,
    },
    /// With the connection, which was lost or closed.
    Disconnected,
}

impl End {
    pub(crate) fn by_router(reason: Uri, details: ClosingDetails) -> Self {
        Self::ByRouter {
            reason,
            message: details.message,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(reason) => write!(f, "the client has left: {reason}"),
            Self::ByRouter { reason, message } => {
                let text = match message {
                    Some(message) => format!("{reason}: {message}"),
                    None => reason.to_string(),
                };
                f.write_str(&excerpt(text, SHOWN))
            }
            Self::Disconnected => f.write_str("the connection to the router has ended"),
        }
    }
}
