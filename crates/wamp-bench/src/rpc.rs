//! The workloads of calls: sessions call a procedure; in an echo, one more session registers it and
//! answers with the arguments. Must not know when operations are due.

use std::time::Instant;

use wamp::{
    Error, Invocation, Message, RegisterOptions, RegistrationId, RequestType, Yield, YieldOptions,
};

use super::{
    error::SessionError,
    options::{Load, Mode, RunOptions},
    requests_in_flight::RequestsInFlight,
    run_state::RunState,
    wire::{CompactMessage, put_number},
    workload::{SessionContext, Workload, message_of, unasked},
};

/// Calls, and matches each answer to its call.
pub(super) struct Caller {
    requests: RequestsInFlight,
    /// The text of a CALL after its id, up to the arguments.
    procedure: Vec<u8>,
    args: Args,
    /// Whether a RESULT must bring the arguments back.
    is_echoed: bool,
    /// Kept for its capacity.
    text: Vec<u8>,
}

enum Args {
    None,
    /// The same for each call.
    Same(Vec<u8>),
    /// The number of the session and of the request, so that no two calls have the same.
    Distinct(usize),
}

impl Caller {
    pub(super) fn new(session: usize, options: &RunOptions) -> Self {
        let uri = serde_json::Value::from(options.uri.as_str());
        let is_echoed = options.mode == Mode::Echo;
        Self {
            requests: RequestsInFlight::default(),
            procedure: format!(",{{}},{uri}").into_bytes(),
            args: match &options.args {
                Some(args) => Args::Same(args.get().as_bytes().to_vec()),
                None if is_echoed => Args::Distinct(session),
                None => Args::None,
            },
            is_echoed,
            text: Vec::new(),
        }
    }

    fn call(&mut self, at: Instant, context: &mut SessionContext<'_>) {
        context.run.begin(at, context.now);
        let request = context.next_request();
        self.requests.begin(request, at);
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(b"[48,");
        put_number(request, text);
        text.extend_from_slice(&self.procedure);
        if !matches!(self.args, Args::None) {
            text.push(b',');
            self.args.put(request, text);
        }
        text.push(b']');
        context.send_text(text);
    }

    fn answered(
        &mut self,
        request: u64,
        context: &mut SessionContext<'_>,
        error: Option<&Error>,
    ) -> Result<(), SessionError> {
        let begun = self.requests.answer(request)?;
        let error = error.map(|error| (error.error.as_str(), message_of(&error.payload)));
        context.run.complete(begun, context.now, error);
        if context.run.may_begin(context.now) {
            self.call(context.now, context);
        }
        Ok(())
    }

    /// Checks that a result is what was sent.
    fn check_echo(&mut self, request: u64, payload: &[u8]) -> Result<(), SessionError> {
        let sent = &mut self.text;
        sent.clear();
        self.args.put(request, sent);
        // A router may write the same values with other blanks.
        let values = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).ok();
        if payload == &sent[..] || (values(payload).is_some() && values(payload) == values(sent)) {
            return Ok(());
        }
        Err(SessionError::Changed {
            request,
            sent: String::from_utf8_lossy(sent).into_owned(),
            received: String::from_utf8_lossy(payload).into_owned(),
        })
    }
}

impl Args {
    fn put(&self, request: u64, text: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Same(args) => text.extend_from_slice(args),
            Self::Distinct(session) => {
                text.push(b'[');
                put_number(*session as u64, text);
                text.push(b',');
                put_number(request, text);
                text.push(b']');
            }
        }
    }
}

impl Workload for Caller {
    fn on_compact(
        &mut self,
        message: CompactMessage<'_>,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        let CompactMessage::Result { request, payload } = message else {
            return Err(unasked(format!("{message:?}")));
        };
        if self.is_echoed {
            self.check_echo(request, payload)?;
        }
        self.answered(request, context, None)
    }

    fn on_message(
        &mut self,
        message: Message,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        match message {
            Message::Result(result) => {
                let request = result.request.value();
                if self.is_echoed {
                    let args: Vec<serde_json::Value> = (result.payload.args())
                        .map_err(|error| SessionError::Violation(error.to_string()))?;
                    self.check_echo(
                        request,
                        serde_json::Value::from(args).to_string().as_bytes(),
                    )?;
                }
                self.answered(request, context, None)?;
            }
            Message::Error(error) if error.request_type == RequestType::Call => {
                self.answered(error.request.value(), context, Some(&error))?;
            }
            message => return Err(unasked(message.message_type().name())),
        }
        Ok(())
    }

    fn on_start(&mut self, context: &mut SessionContext<'_>) {
        let Load::Closed { inflight } = context.options.load else {
            return;
        };
        for _ in 0..inflight {
            if context.run.may_begin(context.now) {
                self.call(context.now, context);
            }
        }
    }

    fn on_due(&mut self, due: Instant, context: &mut SessionContext<'_>) {
        self.call(due, context);
    }

    fn outstanding(&self, _: &RunState) -> Option<String> {
        self.requests
            .oldest()
            .map(|request| format!("the answer to CALL {request}"))
    }
}

/// Registers the procedure and answers its calls.
#[derive(Default)]
pub(super) struct Callee {
    /// 0, which no router gives, until it is there.
    registration: u64,
    /// The id of the last INVOCATION. These count up (WAMP, ID scopes), so a smaller or equal one is
    /// doubled or out of order.
    last: u64,
    /// Kept for its capacity.
    text: Vec<u8>,
}

impl Callee {
    fn invoked(&mut self, registration: u64, request: u64) -> Result<(), SessionError> {
        if self.registration != registration {
            return Err(unasked(format!(
                "an INVOCATION of registration {registration}"
            )));
        }
        if request <= self.last {
            let last = self.last;
            return Err(SessionError::Invocation { last, request });
        }
        self.last = request;
        Ok(())
    }
}

impl Workload for Callee {
    fn on_joined(&mut self, context: &mut SessionContext<'_>) -> bool {
        let procedure = context.options.uri.as_str().into();
        let on_result = (context.client.handler()).prepared("REGISTER", RegistrationId::value);
        (context.client).register(procedure, RegisterOptions::default(), on_result);
        false
    }

    fn on_prepared(&mut self, id: u64) {
        self.registration = id;
    }

    fn on_compact(
        &mut self,
        message: CompactMessage<'_>,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        let CompactMessage::Invocation {
            request,
            registration,
            payload,
        } = message
        else {
            return Err(unasked(format!("{message:?}")));
        };
        self.invoked(registration, request)?;
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(b"[70,");
        put_number(request, text);
        text.extend_from_slice(b",{}");
        if !payload.is_empty() {
            text.push(b',');
            text.extend_from_slice(payload);
        }
        text.push(b']');
        context.send_text(text);
        Ok(())
    }

    fn on_message(
        &mut self,
        message: Message,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        match message {
            Message::Invocation(Invocation {
                request,
                registration,
                payload,
                ..
            }) => {
                self.invoked(registration.value(), request.value())?;
                context.send(Yield {
                    request,
                    options: YieldOptions::default(),
                    payload,
                });
            }
            message => return Err(unasked(message.message_type().name())),
        }
        Ok(())
    }
}
