//! The session that publishes and those that subscribe, each of which must get every event once
//! and in order.

use std::{collections::VecDeque, time::Instant};

use super::{
    Fault, Load, Options,
    requests_in_flight::Outstanding,
    run_state::{Mail, Run},
    wire::{Quick, put_number},
    workload::{Duty, Turn, refused, unasked},
};
use wamp::{Message, RequestId, RequestType, Subscribe, SubscribeOptions, SubscriptionId};

/// The events that have not reached every subscriber, numbered from 1.
pub(super) struct Events {
    subscribers: u64,
    first: u64,
    under_way: VecDeque<Event>,
}

struct Event {
    begun: Instant,
    /// How many subscribers do not have it.
    missing: u64,
}

impl Events {
    pub(super) fn new(subscribers: usize) -> Self {
        Self {
            subscribers: subscribers as u64,
            first: 1,
            under_way: VecDeque::new(),
        }
    }

    fn publish(&mut self, begun: Instant) -> u64 {
        let missing = self.subscribers;
        self.under_way.push_back(Event { begun, missing });
        self.published()
    }

    /// The number of the last event.
    fn published(&self) -> u64 {
        self.first + self.under_way.len() as u64 - 1
    }

    /// One subscriber has got it: when it was published, if it was, and whether it was the last
    /// to get the oldest.
    fn arrive(&mut self, number: u64) -> Option<(Instant, bool)> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let event = self.under_way.get_mut(place)?;
        event.missing -= 1;
        let begun = event.begun;
        let before = self.first;
        while self
            .under_way
            .front()
            .is_some_and(|event| event.missing == 0)
        {
            self.under_way.pop_front();
            self.first += 1;
        }
        Some((begun, self.first > before))
    }
}

/// Publishes, and has its publications acknowledged, or it would never hear of a refusal.
pub(super) struct Publisher {
    outstanding: Outstanding,
    /// What a PUBLISH has after its id, up to the number of the event.
    topic: Vec<u8>,
    /// The arguments after that number, with their comma.
    args: Vec<u8>,
    text: Vec<u8>,
}

impl Publisher {
    pub(super) fn new(options: &Options) -> Self {
        let uri = serde_json::Value::from(options.uri.as_str());
        let args = options
            .args
            .as_deref()
            .map_or("[]", |args| args.get())
            .trim();
        let args = args[1..args.len() - 1].trim();
        Self {
            outstanding: Outstanding::default(),
            topic: format!(",{{\"acknowledge\":true}},{uri},[").into_bytes(),
            args: match args {
                "" => Vec::new(),
                args => format!(",{args}").into_bytes(),
            },
            text: Vec::new(),
        }
    }

    fn publish(&mut self, at: Instant, turn: &mut Turn<'_>) {
        turn.run.begin(at, turn.now);
        let number = turn.run.events.publish(at);
        let request = self.outstanding.begin(at);
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(b"[16,");
        put_number(request, text);
        text.extend_from_slice(&self.topic);
        put_number(number, text);
        text.extend_from_slice(&self.args);
        text.extend_from_slice(b"]]");
        turn.send_text(text);
    }
}

impl Duty for Publisher {
    fn on_quick(&mut self, message: Quick<'_>, _: &mut Turn<'_>) -> Result<(), Fault> {
        Err(unasked(format!("{message:?}")))
    }

    fn on_message(&mut self, message: Message, _: &mut Turn<'_>) -> Result<bool, Fault> {
        match message {
            Message::Published(published) => {
                self.outstanding.answer(published.request.value())?;
                Ok(false)
            }
            Message::Error(error) if error.request_type == RequestType::Publish => {
                Err(refused("PUBLISH", &error))
            }
            message => Err(unasked(message.message_type().name())),
        }
    }

    fn on_go(&mut self, turn: &mut Turn<'_>) {
        let Load::Closed { inflight } = turn.options.load else {
            return;
        };
        while turn.run.events.under_way.len() < inflight && turn.run.may_begin(turn.now) {
            self.publish(turn.now, turn);
        }
    }

    fn on_due(&mut self, due: Instant, turn: &mut Turn<'_>) {
        self.publish(due, turn);
    }

    fn owed(&self, _: &Run) -> Option<String> {
        let oldest = self.outstanding.oldest();
        oldest.map(|request| format!("the answer to PUBLISH {request}"))
    }
}

/// Gets events 1, 2, 3, ….
#[derive(Default)]
pub(super) struct Subscriber {
    subscription: Option<SubscriptionId>,
    received: u64,
}

impl Subscriber {
    fn received(
        &mut self,
        subscription: u64,
        number: u64,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if self.subscription.map(SubscriptionId::value) != Some(subscription) {
            return Err(unasked(format!("an EVENT for subscription {subscription}")));
        }
        let expected = self.received + 1;
        if number != expected {
            let received = number;
            return Err(Fault::Sequence { expected, received });
        }
        let arrived = turn.run.events.arrive(number);
        let (begun, was_last) = arrived.ok_or(Fault::Alien(number))?;
        self.received = number;
        turn.run.end(begun, turn.now, None);
        if was_last
            && turn.run.may_begin(turn.now)
            && let Some(publisher) = turn.run.connections[0]
        {
            turn.shared.mailbox.post(publisher, Mail::Go);
        }
        Ok(())
    }
}

impl Duty for Subscriber {
    fn on_joined(&mut self, turn: &mut Turn<'_>) -> bool {
        turn.send(Subscribe {
            request: RequestId::FIRST,
            options: SubscribeOptions::default(),
            topic: turn.options.uri.as_str().into(),
        });
        false
    }

    fn on_quick(&mut self, message: Quick<'_>, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let Quick::Event {
            subscription,
            number,
        } = message
        else {
            return Err(unasked(format!("{message:?}")));
        };
        self.received(subscription, number, turn)
    }

    fn on_message(&mut self, message: Message, turn: &mut Turn<'_>) -> Result<bool, Fault> {
        match message {
            Message::Subscribed(subscribed)
                if subscribed.request == RequestId::FIRST && self.subscription.is_none() =>
            {
                self.subscription = Some(subscribed.subscription);
                return Ok(true);
            }
            Message::Error(error) if error.request_type == RequestType::Subscribe => {
                return Err(refused("SUBSCRIBE", &error));
            }
            Message::Event(event) => {
                let args: Vec<serde_json::Value> =
                    (event.payload.args()).map_err(|error| Fault::Violation(error.to_string()))?;
                let number = args.first().and_then(serde_json::Value::as_u64);
                let number = number.ok_or_else(|| unasked("an EVENT without a number"))?;
                self.received(event.subscription.value(), number, turn)?;
            }
            message => return Err(unasked(message.message_type().name())),
        }
        Ok(false)
    }

    fn owed(&self, run: &Run) -> Option<String> {
        let has_all = self.received == run.events.published();
        (!has_all).then(|| format!("event {}", self.received + 1))
    }
}
