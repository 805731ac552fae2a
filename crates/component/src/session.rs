//! A component's WAMP session, the client's end: joins, registers, answers invocations. Must not
//! know whether the router is in this process or at the end of a connection.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak},
};

use super::{
    Error, Invocation, Reply,
    class::Instance,
    invocation::{Callee, Unanswered},
};
use deferred::CancelHandle;
use wamp::{
    self, ClosingDetails, ErrorDetails, Goodbye, Hello, HelloDetails, Identity, Message, OwnIds,
    Payload, Peer, PeerRoles, Register, RegisterOptions, RegistrationId, RequestId, RequestType,
    Revoked, RpcFeatures, SHOWN, Transport, Unregistering, Uri, Yield, YieldOptions, error_uri,
    excerpt,
};

/// How far a session has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not all procedures are registered yet.
    Joining,
    /// All procedures, so many, are registered.
    Joined(usize),
    /// The session has failed or ended, and why.
    Ended(String),
}

/// The session of one component.
pub struct Session {
    name: String,
    realm: Uri,
    instance: Arc<Instance>,
    /// For answers that come later, which outlive the call that brought the invocation.
    this: Weak<Self>,
    /// Set before the session says its first word.
    transport: OnceLock<Arc<dyn Transport>>,
    progress: Mutex<Progress>,
    /// Which procedure a registration is of, by its index. Written while joining only.
    registrations: RwLock<HashMap<RegistrationId, usize, OwnIds>>,
    /// The invocations that the database is at, to be stopped by INTERRUPT.
    under_way: Mutex<HashMap<RequestId, UnderWay, OwnIds>>,
}

/// An invocation that is not answered yet.
#[derive(Clone)]
struct UnderWay {
    job: CancelHandle,
    /// Whether it takes one of the places that its procedure's `concurrency` gives.
    has_slot: bool,
}

struct Progress {
    status: Status,
    last_request: Option<RequestId>,
    /// The REGISTERs not answered yet, and the procedure each is for.
    pending: HashMap<RequestId, usize>,
}

impl Session {
    /// A session for `instance`; `name` is what logs call it.
    pub fn new(name: impl Into<String>, realm: Uri, instance: Arc<Instance>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            name: name.into(),
            realm,
            instance,
            this: this.clone(),
            transport: OnceLock::new(),
            progress: Mutex::new(Progress {
                status: Status::Joining,
                last_request: None,
                pending: HashMap::new(),
            }),
            registrations: RwLock::default(),
            under_way: Mutex::default(),
        })
    }

    /// Says HELLO. `call_timeout` is not announced: a dealer may leave the timeout to a callee that
    /// does ("Call Timeouts", "Callee-Initiated Timeouts"), and ends it by INTERRUPT otherwise.
    fn join(&self) {
        let features = RpcFeatures {
            call_canceling: true,
            caller_identification: true,
            registration_revocation: true,
            interrupt_on_skip: true,
            ..RpcFeatures::NONE
        };
        let roles = PeerRoles {
            callee: Some(features),
            ..PeerRoles::default()
        };
        let agent = Some(concat!("wampgres-", env!("CARGO_PKG_VERSION")).to_owned());
        let details = HelloDetails {
            roles,
            agent,
            authmethods: None,
        }
        .into();
        let realm = self.realm.clone();
        self.send(Hello { realm, details });
    }

    /// Says GOODBYE, if there is a session to end. The router's answer closes the connection.
    pub fn leave(&self) {
        if self.end("the node is stopping".to_owned()) {
            self.say_goodbye(error_uri::SYSTEM_SHUTDOWN);
        }
    }

    /// How far the session has come.
    pub fn status(&self) -> Status {
        self.progress().status.clone()
    }

    fn send(&self, message: impl Into<Message>) {
        if let Some(transport) = self.transport.get() {
            transport.send(message.into());
        }
    }

    fn register_all(&self) {
        if self.instance.procedures.is_empty() {
            self.progress().status = Status::Joined(0);
        }
        for (index, procedure) in self.instance.procedures.iter().enumerate() {
            let request = self.progress().next_request(index);
            let options = RegisterOptions {
                concurrency: procedure.concurrency,
                ..RegisterOptions::default()
            }
            .into();
            let procedure = procedure.uri.clone();
            self.send(Register {
                request,
                options,
                procedure,
            });
        }
    }

    fn on_registered(&self, request: RequestId, registration: RegistrationId) {
        let mut progress = self.progress();
        let Some(index) = progress.pending.remove(&request) else {
            return;
        };
        let mut registrations = self
            .registrations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        registrations.insert(registration, index);
        let registered = registrations.len();
        drop(registrations);
        if registered == self.instance.procedures.len() && progress.status == Status::Joining {
            progress.status = Status::Joined(registered);
            tracing::info!(target: crate::LOG, component = self.name, "registered {registered} procedures");
        }
    }

    /// Somebody else has the procedure now. The others stay with this component: what it would
    /// leave for and come again is no longer to be had.
    fn on_revoked(&self, revoked: &Revoked) {
        let mut registrations = self
            .registrations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(index) = registrations.remove(&revoked.registration) else {
            return;
        };
        drop(registrations);
        tracing::error!(
        target: crate::LOG,
                   component = self.name,
                   procedure = %self.instance.procedures[index].uri,
                   reason = revoked.reason.as_ref().map(Uri::as_str),
                   "the router has ended the registration of a procedure: another session may have taken \
                    it over with force_reregister"
               );
    }

    fn on_refused(&self, error: &wamp::Error) {
        let Some(index) = self.progress().pending.remove(&error.request) else {
            return;
        };
        let procedure = &self.instance.procedures[index].uri;
        let said = error
            .payload
            .args::<(String,)>()
            .map_or(String::new(), |(text,)| text);
        // A component without all its procedures is none: better to leave and come again.
        let why = format!("cannot register {procedure}: {}: {said}", error.error);
        if self.end(excerpt(why, SHOWN)) {
            self.say_goodbye(error_uri::CLOSE_REALM);
        }
    }

    /// Notes the end of the session and why; `false` if it had ended before.
    fn end(&self, reason: String) -> bool {
        let mut progress = self.progress();
        if matches!(progress.status, Status::Ended(_)) {
            return false;
        }
        tracing::info!(
        target: crate::LOG,
                   component = self.name,
                   reason,
                   "the component's session has ended"
               );
        progress.status = Status::Ended(reason);
        drop(progress);
        // Nobody waits for the answers any more.
        let under_way = std::mem::take(&mut *self.under_way());
        for invocation in under_way.into_values() {
            invocation.job.cancel();
        }
        true
    }

    fn say_goodbye(&self, reason: &str) {
        let details = ClosingDetails::default();
        let reason = reason.into();
        self.send(Goodbye { details, reason });
    }

    fn invoke(&self, invocation: wamp::Invocation, caller: Option<Arc<Identity>>) {
        let request = invocation.request;
        let index = {
            let registrations = self
                .registrations
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            registrations.get(&invocation.registration).copied()
        };
        let Some(procedure) = index.map(|index| &self.instance.procedures[index]) else {
            let error = Error::new(
                error_uri::NO_SUCH_REGISTRATION,
                "the component does not know this registration",
            );
            return self.answer(request, Err(error));
        };
        let call = Invocation {
            procedure: procedure.uri.clone(),
            details: invocation.details,
            payload: invocation.payload,
            caller,
        };
        // The panic of one procedure must not take the connections of its thread with it.
        let answer = catch_unwind(AssertUnwindSafe(|| (procedure.method)(call))).unwrap_or_else(|_| {
            let uri = &procedure.uri;
            tracing::error!(target: crate::LOG, component = self.name, procedure = %uri, "a procedure has panicked");
            Err(Error::panicked())
        });
        match answer {
            Ok(Reply::Now(payload)) => self.answer(request, Ok(payload)),
            Ok(Reply::Later(later)) => {
                // Noted before the answer can come, which takes the note away again.
                let under_way = UnderWay {
                    job: later.cancel_handle(),
                    has_slot: procedure.concurrency.is_some(),
                };
                self.under_way().insert(request, under_way);
                let outbound = self
                    .transport
                    .get()
                    .and_then(|transport| transport.outbound());
                let this = self.this.upgrade().expect("it is being called");
                later.send_by(this, Unanswered { request, outbound });
            }
            Err(error) => self.answer(request, Err(error)),
        }
    }

    /// Stops an invocation. Its answer, an ERROR, comes the same way as any other; one that is
    /// answered already is left alone.
    fn on_interrupt(&self, request: RequestId) {
        let under_way = self.under_way().get(&request).cloned();
        match under_way {
            // The answer lets the next invocation begin, so it may not come while a worker runs
            // this one: workers would else be held by more jobs than there are slots.
            Some(UnderWay { job, has_slot }) if has_slot => job.cancel_on_end(),
            Some(UnderWay { job, .. }) => job.cancel(),
            None => {}
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<RequestId, UnderWay, OwnIds>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: RequestId, result: Result<Payload, Error>) {
        self.send(answer(request, result));
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer for Session {
    fn on_open(&self, transport: Arc<dyn Transport>) {
        self.transport.get_or_init(|| transport);
        self.join();
    }

    fn on_message(&self, message: Message) {
        match message {
            Message::Welcome(_) => self.register_all(),
            Message::Registered(m) => self.on_registered(m.request, m.registration),
            Message::Invocation(m) => self.invoke(m, None),
            Message::Interrupt(m) => self.on_interrupt(m.request),
            Message::Unregistered(wamp::Unregistered {
                how: Unregistering::Revoked(revoked),
            }) => self.on_revoked(&revoked),
            Message::Error(m) if m.request_type == RequestType::Register => self.on_refused(&m),
            Message::Abort(m) => {
                self.end(describe(&m.reason, m.details.message));
            }
            Message::Goodbye(m) => {
                if self.end(describe(&m.reason, m.details.message)) {
                    self.say_goodbye(error_uri::GOODBYE_AND_OUT);
                }
            }
            message => tracing::warn!(
            target: crate::LOG,
                           component = self.name,
                           message = message.message_type().name(),
                           "ignoring a message that no component asked for"
                       ),
        }
    }

    fn on_invocation(&self, invocation: wamp::Invocation, caller: Arc<Identity>) {
        self.invoke(invocation, Some(caller));
    }

    fn on_posted(&self, message: Message) {
        if let Message::Yield(Yield { request, .. }) | Message::Error(wamp::Error { request, .. }) =
            &message
        {
            self.under_way().remove(request);
        }
        self.send(message);
    }

    fn on_close(&self) {
        self.end("the connection to the router has ended".to_owned());
    }
}

impl Callee for Session {
    /// Whoever routes an answer touches the memory of all that is under way. Done by one I/O
    /// thread it stays near the same processor, and workers, which may be made to pause anywhere,
    /// hold up nobody with the realm's lock.
    fn answer_later(&self, invocation: Unanswered, result: Result<Payload, Error>) {
        let message = answer(invocation.request, result);
        let left = match invocation.outbound {
            Some(outbound) => outbound.post(message),
            None => Err(message),
        };
        if let Err(message) = left {
            self.on_posted(message);
        }
    }
}

fn answer(request: RequestId, result: Result<Payload, Error>) -> Message {
    match result {
        Ok(payload) => Yield {
            request,
            options: YieldOptions::default(),
            payload,
        }
        .into(),
        Err(error) => wamp::Error {
            request_type: RequestType::Invocation,
            request,
            details: ErrorDetails::default(),
            error: error.uri().clone(),
            payload: error.payload(),
        }
        .into(),
    }
}

fn describe(reason: &Uri, message: Option<String>) -> String {
    match message {
        Some(message) => excerpt(format!("{reason}: {message}"), SHOWN),
        None => excerpt(reason.as_str(), SHOWN),
    }
}

impl Progress {
    fn next_request(&mut self, index: usize) -> RequestId {
        let request = self.last_request.map_or(RequestId::FIRST, RequestId::next);
        self.last_request = Some(request);
        self.pending.insert(request, index);
        request
    }
}

#[cfg(test)]
mod tests;
