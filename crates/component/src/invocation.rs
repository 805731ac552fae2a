//! One call as its procedure sees it, and what the procedure can answer. Must not know how
//! either travels.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use deferred::{CancelHandle, Deferred, Failure};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Error, arguments, deferred,
    reply_stream::{self, Batches, Source},
};
use sql::{RowStream, Rows};
use wamp::{
    Identity, InvocationDetails, Outbound, Payload, PayloadError, Receipt, RequestId, SessionId,
    Sparse, Uri,
};

/// A call to a procedure.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub(super) procedure: Uri,
    pub(super) details: Sparse<InvocationDetails>,
    pub(super) payload: Payload,
    /// Who calls, from a router of this process.
    pub(super) caller: Option<Arc<Identity>>,
}

/// Who calls, where the realm's permissions disclose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller<'a> {
    /// The caller's session.
    pub session: SessionId,
    /// Who the caller is taken for.
    pub authid: Option<&'a str>,
    /// The caller's role.
    pub authrole: Option<&'a str>,
}

impl Invocation {
    /// The URI that was called.
    pub fn procedure(&self) -> &Uri {
        &self.procedure
    }

    /// Who calls, for this component to decide by; nobody need have disclosed it. From a router of
    /// this process it is always there and complete. From another router it is what that has
    /// disclosed, of which `authid` and `authrole` may be `None`; `None` itself where it has
    /// disclosed nothing.
    pub fn identity(&self) -> Option<&Identity> {
        let known = self.caller.as_ref();
        known.or(self.details.caller.as_ref()).map(Arc::as_ref)
    }

    /// The same to be kept.
    pub(super) fn identity_arc(&self) -> Option<Arc<Identity>> {
        let known = self.caller.as_ref();
        known.or(self.details.caller.as_ref()).cloned()
    }

    /// Who calls, as far as callees are to know: `None` unless the permission that allowed the call
    /// discloses callers, or the caller has asked for it. May be told to others, as what
    /// [`Invocation::identity`] says may not.
    pub fn caller(&self) -> Option<Caller<'_>> {
        let caller = self.details.caller.as_deref()?;
        Some(Caller {
            session: caller.session,
            authid: caller.authid.as_deref(),
            authrole: caller.authrole.as_deref(),
        })
    }

    /// Whether the caller takes the result in parts; see [`Reply::stream`].
    pub fn wants_progress(&self) -> bool {
        self.details.receive_progress
    }

    /// The positional arguments as `T`, mostly a tuple: `let (a, b): (i64, String) = call.args()?`.
    /// `()` says that there are none to be.
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

/// What a procedure gives back: its reply, or why there is none.
pub type Answer = Result<Reply, Error>;

/// The result of a procedure, there already or on its way.
pub enum Reply {
    /// It is here.
    Now(Payload),
    /// It comes from the database, or from another procedure.
    Later(Later),
}

/// A reply on its way.
pub struct Later {
    cancel: CancelHandle,
    /// Has the reply sent as soon as it is there. Boxed and not a deferred of its own: that would
    /// be one more to make here and to free on the worker.
    send: Box<dyn FnOnce(Arc<dyn Callee>, Unanswered) + Send>,
}

/// Sends what a procedure answers.
pub(super) trait Callee: Send + Sync {
    /// The answer to an invocation whose reply came later, on any thread. Must not block.
    fn answer_later(&self, invocation: Unanswered, answer: Result<Payload, Error>);

    /// A part of an answer. `taken` is dropped when there is room for the next.
    fn send_part(&self, request: RequestId, part: Payload, taken: Receipt);
}

/// An invocation that is to be answered later.
pub(super) struct Unanswered {
    pub(super) request: RequestId,
    /// The way to the thread that the invocation came on, where there is one.
    pub(super) outbound: Option<Arc<dyn Outbound>>,
}

impl Reply {
    /// Replies with one value, the only positional argument of the RESULT.
    ///
    /// # Errors
    /// `wamp.error.runtime_error` when the value has no JSON form.
    pub fn now(value: impl Serialize) -> Answer {
        Ok(Self::Now(result(&value)?))
    }

    /// Replies with one value as soon as it is there: what the database gives, or what has become
    /// of a call to another procedure. A caller who cancels cancels that as well.
    ///
    /// # Errors
    /// None now; `wamp.error.runtime_error` later when the value has no JSON form.
    pub fn later<T, E>(deferred: Deferred<T, E>) -> Answer
    where
        T: Serialize + Send + 'static,
        E: Failure,
        Error: From<E>,
    {
        let cancel = deferred.cancel_handle();
        let send = |callee: Arc<dyn Callee>, invocation| {
            deferred.on_result(move |value| {
                callee.answer_later(invocation, value.map_err(Error::from).and_then(encoded));
            });
        };
        Ok(Self::Later(Later {
            cancel,
            send: Box::new(send),
        }))
    }

    /// Replies in parts ("Progressive Call Results"), for a result that is too large to be held as a
    /// whole. `next` is called for each part and gives `None` after the last: each part is the only
    /// positional argument of a RESULT with `progress`, and the last RESULT, which has neither
    /// argument nor `progress`, says that this was all.
    ///
    /// ```
    /// use component::{Answer, Deferred, Invocation, Reply};
    ///
    /// fn count_down(call: &Invocation) -> Answer {
    ///     let (mut left,): (u32,) = call.args()?;
    ///     Reply::stream(call, move || {
    ///         let part = (left > 0).then_some(left);
    ///         left = left.saturating_sub(1);
    ///         Deferred::ready(Ok(part))
    ///     })
    /// }
    /// ```
    ///
    /// [`Reply::rows`] does it with what a database gives.
    ///
    /// The source is asked as fast as the caller takes what it gives, which keeps at most two parts
    /// on their way, and no second one beside 256 KiB: while a caller does not read, nobody reads for
    /// it. A connection to this node has taken a part when no more than 64 KiB wait for its socket; a
    /// caller in this process when its callback has returned; of a caller of another router that
    /// router's connection is asked instead, and what waits there is that router's matter.
    ///
    /// `next` is called on an I/O thread and must not block; one part is asked for at a time. What
    /// it holds is dropped at the end, and at once when the call ends early: it is canceled, its
    /// timeout passes, its caller is gone. Each part begins the timeout of the call anew. A caller
    /// that stops reading and keeps its connection keeps the source.
    ///
    /// # Errors
    /// `wamp.error.invalid_argument` if the caller has not asked for progress, who would get nothing
    /// of it; see [`Invocation::wants_progress`]. An error of `next` ends the reply, and so does a
    /// value that has no JSON form.
    pub fn stream<T, E, N>(call: &Invocation, mut next: N) -> Answer
    where
        N: FnMut() -> Deferred<Option<T>, E> + Send + 'static,
        T: Serialize + Send + 'static,
        E: Failure,
        Error: From<E>,
    {
        Self::parts(call, move || {
            next().map_result(|part| part.map_err(Error::from)?.map(encoded).transpose())
        })
    }

    /// Replies with the rows of a statement in parts: `encode` makes each of a batch, on the thread
    /// that brings it; all else is as with [`Reply::stream`]. A call that ends early ends the portal
    /// and the transaction.
    ///
    /// While a caller takes nothing, a connection of the database is taken and its transaction open:
    /// give such a procedure a [`concurrency`](super::Procedure::concurrency) below the number of
    /// connections. A canceled call of one that has it is answered when the connection is free.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    ///
    /// use component::{Answer, Invocation, Reply};
    /// use sql::{Database, Settings, Statement};
    ///
    /// fn all(db: &dyn Database, call: &Invocation) -> Answer {
    ///     let goods = Statement::new("SELECT name, price FROM goods", ());
    ///     let batch = NonZeroU32::new(500).expect("not 0");
    ///     let rows = db.stream(Settings::new(), goods, batch);
    ///     Reply::rows(call, rows, |batch| batch.deserialize::<(String, f64)>())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Reply::stream`]; what PostgreSQL says ends the reply.
    pub fn rows<T, E>(
        call: &Invocation,
        rows: RowStream,
        encode: impl Fn(Rows) -> Result<T, E> + Send + Sync + 'static,
    ) -> Answer
    where
        T: Serialize,
        Error: From<E>,
    {
        let encode = Arc::new(move |rows| encoded(encode(rows)?));
        Self::parts(call, Batches { rows, encode })
    }

    /// Replies with what a source gives.
    pub(super) fn parts(call: &Invocation, source: impl Source + 'static) -> Answer {
        if !call.wants_progress() {
            return Err(Error::invalid_argument(format_args!(
                "{} gives its result in parts: call it with the option receive_progress",
                call.procedure
            )));
        }
        let (end, deferred) = deferred();
        Ok(Self::Later(Later {
            cancel: deferred.cancel_handle(),
            send: Box::new(move |callee, invocation| {
                reply_stream::start(Box::new(source), (end, deferred), callee, invocation);
            }),
        }))
    }

    /// Replies with positional and keyword arguments.
    ///
    /// # Errors
    /// `wamp.error.runtime_error` when they have no JSON form or are not a list and a map.
    pub fn with_kwargs(args: impl Serialize, kwargs: impl Serialize) -> Answer {
        Payload::from_args_kwargs(&args, &kwargs)
            .map(Self::Now)
            .map_err(not_encodable)
    }
}

impl Later {
    /// A way to stop what the reply comes from.
    pub(super) fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Gives the reply to an invocation to `callee`: now if it is there, else on the thread that
    /// brings it.
    pub(super) fn send_by(self, callee: Arc<dyn Callee>, invocation: Unanswered) {
        (self.send)(callee, invocation);
    }
}

/// A value that came later as a payload. The value's own code may panic, and the caller must have
/// an answer.
pub(super) fn encoded(value: impl Serialize) -> Result<Payload, Error> {
    catch_unwind(AssertUnwindSafe(|| result(&value))).unwrap_or_else(|_| Err(Error::panicked()))
}

fn result(value: &impl Serialize) -> Result<Payload, Error> {
    Payload::from_args(&[value]).map_err(not_encodable)
}

fn not_encodable(error: PayloadError) -> Error {
    Error::runtime(format_args!("the result has no JSON form: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    fn call(args: Value, kwargs: Value) -> Invocation {
        Invocation {
            procedure: "com.example.p".into(),
            details: Sparse::default(),
            payload: Payload::from_args_kwargs(&args, &kwargs).unwrap(),
            caller: None,
        }
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct Page {
        limit: u32,
        #[serde(default)]
        after: Option<String>,
    }

    #[test]
    fn arguments_come_by_shape() {
        let call = call(serde_json::json!([1, "b"]), serde_json::json!({"limit": 3}));
        assert_eq!(call.args::<(i64, String)>().unwrap(), (1, "b".to_owned()));
        assert_eq!(
            call.kwargs::<Page>().unwrap(),
            Page {
                limit: 3,
                after: None
            }
        );
    }

    #[test]
    fn a_wrong_argument_is_named() {
        let one = call(
            serde_json::json!([1, "b"]),
            serde_json::json!({"limit": "x"}),
        );
        for (error, words) in [
            (
                one.args::<(i64, i64)>().unwrap_err(),
                "argument 2: invalid type: string \"b\", expected i64",
            ),
            (
                one.args::<(i64,)>().unwrap_err(),
                "arguments: invalid length 2",
            ),
            (
                one.args::<(i64, String, i64)>().unwrap_err(),
                "invalid length 2",
            ),
            (one.args::<()>().unwrap_err(), "arguments: "),
            (
                one.kwargs::<Page>().unwrap_err(),
                "argument \"limit\": invalid type: string \"x\", expected u32",
            ),
        ] {
            assert_eq!(error.uri().as_str(), "wamp.error.invalid_argument");
            assert!(error.to_string().contains(words), "{error}");
        }
        let none = call(serde_json::json!([]), serde_json::json!({}));
        none.args::<()>().unwrap();
        let missing = none.kwargs::<Page>().unwrap_err().to_string();
        assert!(missing.contains("missing field `limit`"), "{missing}");
    }

    #[test]
    fn a_value_that_panics_on_its_way_to_the_caller_is_an_error_there() {
        struct Bug;
        impl Serialize for Bug {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                panic!("as the test wants it");
            }
        }
        #[derive(Default)]
        struct Answered(Mutex<Vec<Result<Payload, Error>>>);
        impl Callee for Answered {
            fn answer_later(&self, _: Unanswered, answer: Result<Payload, Error>) {
                self.0.lock().unwrap().push(answer);
            }
            fn send_part(&self, _: RequestId, _: Payload, _: Receipt) {}
        }
        let answered = Arc::new(Answered::default());
        let (promise, deferred) = deferred::deferred::<_, sql::Error>();
        let Ok(Reply::Later(later)) = Reply::later(deferred) else {
            panic!("it was to come later")
        };
        let invocation = Unanswered {
            request: RequestId::FIRST,
            outbound: None,
        };
        later.send_by(answered.clone(), invocation);
        promise.resolve(Ok(Bug));
        assert_eq!(*answered.0.lock().unwrap(), [Err(Error::panicked())]);
    }
}
