//! The workloads of pubsub: one session publishes, the others subscribe. Each of these must get every
//! event once and in order. Must not know when operations are due.

use std::time::Instant;

use wamp::{Message, RequestType, SubscribeOptions, SubscriptionId};

use super::{
    error::SessionError,
    options::{Load, RunOptions},
    requests_in_flight::RequestsInFlight,
    run_state::RunState,
    wire::{CompactMessage, put_number},
    workload::{SessionCommand, SessionContext, Workload, refused, unasked},
};

/// The session that publishes.
const PUBLISHER: usize = 0;

/// Publishes. It has its publications acknowledged, so that it hears when one is refused.
pub(super) struct Publisher {
    requests: RequestsInFlight,
    /// The text of a PUBLISH after its id, up to the number of the event.
    topic: Vec<u8>,
    /// The arguments after that number, with their comma.
    args: Vec<u8>,
    /// Kept for its capacity.
    text: Vec<u8>,
}

impl Publisher {
    pub(super) fn new(options: &RunOptions) -> Self {
        let uri = serde_json::Value::from(options.uri.as_str());
        let args = options
            .args
            .as_deref()
            .map_or("[]", |args| args.get())
            .trim();
        let args = args[1..args.len() - 1].trim();
        Self {
            requests: RequestsInFlight::default(),
            topic: format!(",{{\"acknowledge\":true}},{uri},[").into_bytes(),
            args: match args {
                "" => Vec::new(),
                args => format!(",{args}").into_bytes(),
            },
            text: Vec::new(),
        }
    }

    fn publish(&mut self, at: Instant, context: &mut SessionContext<'_>) {
        context.run.begin(at, context.now);
        let number = context.run.events.publish(at);
        let request = context.next_request();
        self.requests.begin(request, at);
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(b"[16,");
        put_number(request, text);
        text.extend_from_slice(&self.topic);
        put_number(number, text);
        text.extend_from_slice(&self.args);
        text.extend_from_slice(b"]]");
        context.send_text(text);
    }
}

impl Workload for Publisher {
    fn on_message(
        &mut self,
        message: Message,
        _: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        match message {
            Message::Published(published) => {
                self.requests.answer(published.request.value())?;
                Ok(())
            }
            Message::Error(error) if error.request_type == RequestType::Publish => {
                Err(refused("PUBLISH", &error.error, &error.payload))
            }
            message => Err(unasked(message.message_type().name())),
        }
    }

    fn on_start(&mut self, context: &mut SessionContext<'_>) {
        let Load::Closed { inflight } = context.options.load else {
            return;
        };
        while context.run.events.len() < inflight && context.run.may_begin(context.now) {
            self.publish(context.now, context);
        }
    }

    fn on_due(&mut self, due: Instant, context: &mut SessionContext<'_>) {
        self.publish(due, context);
    }

    fn outstanding(&self, _: &RunState) -> Option<String> {
        let oldest = self.requests.oldest();
        oldest.map(|request| format!("the answer to PUBLISH {request}"))
    }
}

/// Subscribes, and gets events 1, 2, 3, ….
#[derive(Default)]
pub(super) struct Subscriber {
    /// 0, which no router gives, until it is there.
    subscription: u64,
    received: u64,
}

impl Subscriber {
    fn received(
        &mut self,
        subscription: u64,
        number: u64,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        if self.subscription != subscription {
            return Err(unasked(format!("an EVENT for subscription {subscription}")));
        }
        let expected = self.received + 1;
        if number != expected {
            let received = number;
            return Err(SessionError::Sequence { expected, received });
        }
        let arrived = context.run.events.arrive(number);
        let (begun, is_everywhere) = arrived.ok_or(SessionError::NeverMade(number))?;
        self.received = number;
        context.run.complete(begun, context.now, None);
        if is_everywhere && context.run.may_begin(context.now) {
            context.tell(PUBLISHER, SessionCommand::Start);
        }
        Ok(())
    }
}

impl Workload for Subscriber {
    fn on_joined(&mut self, context: &mut SessionContext<'_>) -> bool {
        let topic = context.options.uri.as_str().into();
        let on_result = (context.client.handler()).prepared("SUBSCRIBE", SubscriptionId::value);
        (context.client).subscribe(topic, SubscribeOptions::default(), on_result);
        false
    }

    fn on_prepared(&mut self, id: u64) {
        self.subscription = id;
    }

    fn on_compact(
        &mut self,
        message: CompactMessage<'_>,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        let CompactMessage::Event {
            subscription,
            number,
        } = message
        else {
            return Err(unasked(format!("{message:?}")));
        };
        self.received(subscription, number, context)
    }

    fn on_message(
        &mut self,
        message: Message,
        context: &mut SessionContext<'_>,
    ) -> Result<(), SessionError> {
        match message {
            Message::Event(event) => {
                let args: Vec<serde_json::Value> = (event.payload.args())
                    .map_err(|error| SessionError::Violation(error.to_string()))?;
                let number = args.first().and_then(serde_json::Value::as_u64);
                let number = number.ok_or_else(|| unasked("an EVENT without a number"))?;
                self.received(event.subscription.value(), number, context)?;
            }
            message => return Err(unasked(message.message_type().name())),
        }
        Ok(())
    }

    fn outstanding(&self, run: &RunState) -> Option<String> {
        let has_all = self.received == run.events.last();
        (!has_all).then(|| format!("event {}", self.received + 1))
    }
}
