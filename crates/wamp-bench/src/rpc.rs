//! The sessions that call a procedure, and the one that answers it with its arguments.

use std::time::Instant;

use super::{
    Fault, Load, Mode, Options,
    duty::{Duty, Turn, message_of, refused, unasked},
    outstanding::Outstanding,
    run::Run,
    wire::{Quick, put_number},
};
use wamp::{
    Error, Invocation, Message, Register, RegistrationId, RequestId, RequestType, Yield,
    YieldOptions,
};

/// Calls, and matches each answer to its call.
pub(super) struct Caller {
    outstanding: Outstanding,
    /// What a CALL has after its id, up to the arguments.
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
    /// The session and the request, so that no two calls have the same.
    Distinct(usize),
}

impl Caller {
    pub(super) fn new(session: usize, options: &Options) -> Self {
        let uri = serde_json::Value::from(options.uri.as_str());
        let is_echoed = options.mode == Mode::Echo;
        Self {
            outstanding: Outstanding::default(),
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

    fn call(&mut self, at: Instant, turn: &mut Turn<'_>) {
        turn.run.begin(at, turn.now);
        let request = self.outstanding.begin(at);
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
        turn.send_text(text);
    }

    fn answered(
        &mut self,
        request: u64,
        turn: &mut Turn<'_>,
        error: Option<&Error>,
    ) -> Result<(), Fault> {
        let begun = self.outstanding.answer(request)?;
        let error = error.map(|error| (error.error.as_str(), message_of(error)));
        turn.run.end(begun, turn.now, error);
        if turn.run.may_begin(turn.now) {
            self.call(turn.now, turn);
        }
        Ok(())
    }

    /// Checks that a result brings back what was sent.
    fn check_echo(&mut self, request: u64, payload: &[u8]) -> Result<(), Fault> {
        let sent = &mut self.text;
        sent.clear();
        self.args.put(request, sent);
        // Another router may write the same values with other blanks.
        let values = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).ok();
        if payload == &sent[..] || (values(payload).is_some() && values(payload) == values(sent)) {
            return Ok(());
        }
        Err(Fault::Changed {
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

impl Duty for Caller {
    fn on_quick(&mut self, message: Quick<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Quick::Result { request, payload } = message else {
            return Err(unasked(format!("{message:?}")));
        };
        if self.is_echoed {
            self.check_echo(request, payload)?;
        }
        self.answered(request, turn, None)
    }

    fn on_message(&mut self, message: Message, turn: &mut Turn<'_>) -> Result<bool, Fault> {
        match message {
            Message::Result(result) => {
                let request = result.request.value();
                if self.is_echoed {
                    let args: Vec<serde_json::Value> = (result.payload.args())
                        .map_err(|error| Fault::Violation(error.to_string()))?;
                    self.check_echo(
                        request,
                        serde_json::Value::from(args).to_string().as_bytes(),
                    )?;
                }
                self.answered(request, turn, None)?;
            }
            Message::Error(error) if error.request_type == RequestType::Call => {
                self.answered(error.request.value(), turn, Some(&error))?;
            }
            message => return Err(unasked(message.message_type().name())),
        }
        Ok(false)
    }

    fn on_go(&mut self, turn: &mut Turn<'_>) {
        let Load::Closed { inflight } = turn.options.load else {
            return;
        };
        for _ in 0..inflight {
            if turn.run.may_begin(turn.now) {
                self.call(turn.now, turn);
            }
        }
    }

    fn on_due(&mut self, due: Instant, turn: &mut Turn<'_>) {
        self.call(due, turn);
    }

    fn owed(&self, _: &Run) -> Option<String> {
        self.outstanding
            .oldest()
            .map(|request| format!("the answer to CALL {request}"))
    }
}

/// Registers the procedure and answers its calls.
#[derive(Default)]
pub(super) struct Callee {
    registration: Option<RegistrationId>,
    /// The last INVOCATION. Their ids count up (WAMP, ID scopes), so no other has come before.
    last: u64,
    text: Vec<u8>,
}

impl Callee {
    fn invoked(&mut self, registration: u64, request: u64) -> Result<(), Fault> {
        if self.registration.map(RegistrationId::value) != Some(registration) {
            return Err(unasked(format!(
                "an INVOCATION of registration {registration}"
            )));
        }
        if request <= self.last {
            let last = self.last;
            return Err(Fault::Invocation { last, request });
        }
        self.last = request;
        Ok(())
    }
}

impl Duty for Callee {
    fn on_joined(&mut self, turn: &mut Turn<'_>) -> bool {
        turn.send(Register {
            request: RequestId::FIRST,
            options: Box::default(),
            procedure: turn.options.uri.as_str().into(),
        });
        false
    }

    fn on_quick(&mut self, message: Quick<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Quick::Invocation {
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
        turn.send_text(text);
        Ok(())
    }

    fn on_message(&mut self, message: Message, turn: &mut Turn<'_>) -> Result<bool, Fault> {
        match message {
            Message::Registered(registered)
                if registered.request == RequestId::FIRST && self.registration.is_none() =>
            {
                self.registration = Some(registered.registration);
                return Ok(true);
            }
            Message::Error(error) if error.request_type == RequestType::Register => {
                return Err(refused("REGISTER", &error));
            }
            Message::Invocation(Invocation {
                request,
                registration,
                payload,
                ..
            }) => {
                self.invoked(registration.value(), request.value())?;
                turn.send(Yield {
                    request,
                    options: YieldOptions::default(),
                    payload,
                });
            }
            message => return Err(unasked(message.message_type().name())),
        }
        Ok(false)
    }
}
