//! A component's WAMP session, the client's end: joins, registers, answers invocations. Must not
//! know whether the router is in this process or at the end of a connection.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::{
    Error, Invocation, Reply,
    class::Instance,
    invocation::{Callee, Unanswered},
};
use crate::adbapi::CancelHandle;
use crate::wamp::{
    self, ClosingDetails, Goodbye, Hello, HelloDetails, Message, OwnIds, Payload, PeerRoles,
    Register, RegisterOptions, RegistrationId, RequestId, RequestType, RpcFeatures, SHOWN, Uri,
    Yield, error_uri, excerpt,
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

/// The way from a component's session to the router. Must not block.
pub trait Uplink: Send + Sync {
    /// Sends a message.
    fn send(&self, message: Message);

    /// Which I/O thread this is, if it is one that messages can be posted to.
    fn home(&self) -> Option<usize> {
        None
    }

    /// Posts a message to an I/O thread, which gives it to [`Session::send_posted`].
    ///
    /// # Errors
    /// The message itself, if the thread has ended.
    fn post(&self, home: usize, message: Message) -> Result<(), Message> {
        let _ = home;
        Err(message)
    }
}

/// A way that is the same from every thread.
impl<F: Fn(Message) + Send + Sync> Uplink for F {
    fn send(&self, message: Message) {
        self(message);
    }
}

/// The session of one component.
pub struct Session {
    name: String,
    realm: Uri,
    instance: Arc<Instance>,
    uplink: Box<dyn Uplink>,
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
    pub fn new(
        name: impl Into<String>,
        realm: Uri,
        instance: Arc<Instance>,
        uplink: impl Uplink + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            realm,
            instance,
            uplink: Box::new(uplink),
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
    pub fn join(&self) {
        let features = RpcFeatures {
            call_canceling: true,
            caller_identification: true,
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
        self.uplink.send(
            Hello {
                realm: self.realm.clone(),
                details,
            }
            .into(),
        );
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

    /// Takes a message from the router.
    pub fn on_message(self: &Arc<Self>, message: Message) {
        match message {
            Message::Welcome(_) => self.register_all(),
            Message::Registered(m) => self.on_registered(m.request, m.registration),
            Message::Invocation(m) => self.on_invocation(m),
            Message::Interrupt(m) => self.on_interrupt(m.request),
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
                component = self.name,
                message = message.message_type().name(),
                "ignoring a message that no component asked for"
            ),
        }
    }

    /// The connection to the router is lost or closed.
    pub fn on_close(&self) {
        self.end("the connection to the router was lost".to_owned());
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
            self.uplink.send(
                Register {
                    request,
                    options,
                    procedure,
                }
                .into(),
            );
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
            tracing::info!(component = self.name, "registered {registered} procedures");
        }
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
        self.uplink.send(
            Goodbye {
                details,
                reason: reason.into(),
            }
            .into(),
        );
    }

    fn on_invocation(self: &Arc<Self>, invocation: wamp::Invocation) {
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
        };
        // The panic of one procedure must not take the connections of its thread with it.
        let answer = catch_unwind(AssertUnwindSafe(|| (procedure.method)(call))).unwrap_or_else(|_| {
            let uri = &procedure.uri;
            tracing::error!(component = self.name, procedure = %uri, "a procedure has panicked");
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
                let home = self.uplink.home();
                later.send_by(self.clone(), Unanswered { request, home });
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
            Some(UnderWay { job, has_slot }) if has_slot => job.wind_up(),
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
        self.uplink.send(answer(request, result));
    }

    /// Sends an answer that has come later, and has been posted to this thread.
    pub fn send_posted(&self, message: Message) {
        if let Message::Yield(Yield { request, .. }) | Message::Error(wamp::Error { request, .. }) =
            &message
        {
            self.under_way().remove(request);
        }
        self.uplink.send(message);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Callee for Session {
    /// Whoever routes an answer touches the memory of all that is under way. Done by one I/O
    /// thread it stays near the same processor, and workers, which may be made to pause anywhere,
    /// hold up nobody with the realm's lock.
    fn answer_later(&self, invocation: Unanswered, result: Result<Payload, Error>) {
        let message = answer(invocation.request, result);
        let left = match invocation.home {
            Some(home) => self.uplink.post(home, message),
            None => Err(message),
        };
        if let Err(message) = left {
            self.send_posted(message);
        }
    }
}

fn answer(request: RequestId, result: Result<Payload, Error>) -> Message {
    match result {
        Ok(payload) => Yield { request, payload }.into(),
        Err(error) => wamp::Error {
            request_type: RequestType::Invocation,
            request,
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
