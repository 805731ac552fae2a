//! The order in which messages reach a session that lives in this process. Must not know what the
//! messages mean.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{backlog::Charge, limits::COMPONENT_EVENTS_LIMIT};
use wamp::{Event, Identity, Invocation, Message, Peer, Question, Receipt, Ticket};

/// What waits for a local peer. Filled under the realm's lock, which gives the order, and
/// emptied without it, by one thread at a time.
pub(super) struct LocalQueue {
    peer: Arc<dyn Peer>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Delivery>,
    /// Bytes of events among them.
    events: usize,
    /// How many events have found no room since that was logged last.
    dropped: u64,
    /// A thread is delivering, and will deliver whatever comes meanwhile.
    is_delivering: bool,
}

enum Delivery {
    Message(Message),
    /// A part of an answer. The receipt is for when the peer has had it.
    Part(Message, Receipt),
    /// An event, and what its publisher is charged until the peer has had it.
    Event(Event, Option<Charge>),
    Invocation(Invocation, Arc<Identity>),
    Question(Box<Question>),
    /// Nobody waits for the answer to a question any more.
    Withdrawn(Ticket),
    Close,
}

impl LocalQueue {
    pub(super) fn new(peer: Arc<dyn Peer>) -> Arc<Self> {
        Arc::new(Self {
            peer,
            queue: Mutex::default(),
        })
    }

    pub(super) fn put(&self, message: Message) {
        self.lock().waiting.push_back(Delivery::Message(message));
    }

    pub(super) fn put_part(&self, part: Message, receipt: Receipt) {
        self.lock().waiting.push_back(Delivery::Part(part, receipt));
    }

    /// Puts an event, for which its publisher is charged if it is on a connection. There may be many
    /// publishers, so what finds no room is dropped, counted and logged. All other messages are
    /// answers to what the peer has sent, or invocations and questions, which the router limits.
    pub(super) fn put_event(&self, event: Event, charge: Option<Charge>) {
        let mut queue = self.lock();
        let len = event.approximate_len();
        // One alone always finds room.
        if queue.events > 0 && queue.events + len > COMPONENT_EVENTS_LIMIT {
            queue.dropped += 1;
            return;
        }
        queue.events += len;
        queue.waiting.push_back(Delivery::Event(event, charge));
    }

    pub(super) fn invoke(&self, invocation: Invocation, caller: Arc<Identity>) {
        let invocation = Delivery::Invocation(invocation, caller);
        self.lock().waiting.push_back(invocation);
    }

    pub(super) fn ask(&self, question: Box<Question>) {
        let question = Delivery::Question(question);
        self.lock().waiting.push_back(question);
    }

    pub(super) fn withdraw(&self, question: Ticket) {
        let withdrawn = Delivery::Withdrawn(question);
        self.lock().waiting.push_back(withdrawn);
    }

    pub(super) fn close(&self) {
        self.lock().waiting.push_back(Delivery::Close);
    }

    /// Delivers what waits, unless another thread, or this one further up, is at it.
    pub(super) fn deliver(&self) {
        if std::mem::replace(&mut self.lock().is_delivering, true) {
            return;
        }
        let mut delivering = Delivering { queue: self };
        while let Some(delivery) = delivering.next() {
            match delivery {
                Delivery::Message(message) => self.peer.on_message(message),
                Delivery::Part(part, receipt) => {
                    self.peer.on_message(part);
                    drop(receipt);
                }
                Delivery::Event(event, charge) => {
                    self.peer.on_message(event.into());
                    drop(charge);
                }
                Delivery::Invocation(invocation, caller) => {
                    self.peer.on_invocation(invocation, caller);
                }
                Delivery::Question(question) => self.peer.on_question(*question),
                Delivery::Withdrawn(question) => self.peer.on_withdrawn(question),
                Delivery::Close => self.peer.on_close(),
            }
        }
        std::mem::forget(delivering);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread is delivering. It ends with the last message, or with the peer's panic.
struct Delivering<'a> {
    queue: &'a LocalQueue,
}

impl Delivering<'_> {
    /// The next message. After the last one the thread delivers no more; that is noted under the
    /// same lock, so that no message can come between.
    fn next(&mut self) -> Option<Delivery> {
        let (delivery, dropped) = {
            let mut queue = self.queue.lock();
            let delivery = queue.waiting.pop_front();
            queue.is_delivering = delivery.is_some();
            if let Some(Delivery::Event(event, _)) = &delivery {
                queue.events -= event.approximate_len();
            }
            (delivery, std::mem::take(&mut queue.dropped))
        };
        if dropped > 0 {
            tracing::warn!(
                target: crate::LOG,
                dropped,
                limit = COMPONENT_EVENTS_LIMIT,
                "a component does not keep up with the events it subscribes to: some were dropped"
            );
        }
        delivery
    }
}

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        self.queue.lock().is_delivering = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use wamp::{
        EventDetails, Payload, PublicationId, RequestId, SubscriptionId, Transport, Unsubscribed,
        Unsubscribing,
    };

    fn message(id: u64) -> Message {
        let request = RequestId::new(id).unwrap();
        let how = Unsubscribing::Requested(request);
        Unsubscribed { how }.into()
    }

    fn id(message: &Message) -> u64 {
        match message {
            Message::Unsubscribed(Unsubscribed {
                how: Unsubscribing::Requested(request),
            }) => request.value(),
            other => panic!("{other:?}"),
        }
    }

    /// Puts a second message when it gets the first, and panics at the third.
    struct Talker {
        queue: Mutex<Option<Arc<LocalQueue>>>,
        heard: mpsc::Sender<u64>,
    }

    impl Peer for Talker {
        fn on_open(&self, _: Arc<dyn Transport>) {}
        fn on_posted(&self, _: Message) {}
        fn on_message(&self, m: Message) {
            if id(&m) == 1 {
                let queue = self.queue.lock().unwrap().clone().unwrap();
                queue.put(message(2));
                queue.deliver();
            }
            self.heard.send(id(&m)).unwrap();
            assert_ne!(id(&m), 3, "on purpose");
        }
        fn on_close(&self) {
            self.heard.send(0).unwrap();
        }
    }

    #[test]
    fn events_wait_up_to_a_limit_and_other_messages_find_room_all_the_same() {
        let (heard, _) = mpsc::channel();
        let peer = Arc::new(Talker {
            queue: Mutex::default(),
            heard,
        });
        let queue = LocalQueue::new(peer);
        let event = || {
            let payload = Payload::from_args(&["x".repeat(1 << 20)]).unwrap();
            Event {
                subscription: SubscriptionId::new(1).unwrap(),
                publication: PublicationId::new(1).unwrap(),
                details: EventDetails::default(),
                payload,
            }
        };
        for _ in 0..20 {
            queue.put_event(event(), None);
        }
        queue.put(message(1));
        // Fifteen events of a little more than 1 MiB, and the other message.
        let state = |queue: &Queue| (queue.waiting.len(), queue.dropped);
        assert_eq!(state(&queue.lock()), (16, 5));
        let mut delivering = Delivering { queue: &queue };
        while delivering.next().is_some() {}
        assert_eq!(state(&queue.lock()), (0, 0));
        assert_eq!(queue.lock().events, 0);
    }

    #[test]
    fn messages_come_one_at_a_time_and_in_order() {
        let (heard, hears) = mpsc::channel();
        let peer = Arc::new(Talker {
            queue: Mutex::new(None),
            heard,
        });
        let queue = LocalQueue::new(peer.clone());
        *peer.queue.lock().unwrap() = Some(queue.clone());
        queue.put(message(1));
        queue.deliver();
        assert_eq!(hears.try_iter().collect::<Vec<_>>(), [1, 2]);

        // A peer that panics gets what comes after it all the same.
        queue.put(message(3));
        queue.put(message(4));
        let delivery = std::panic::AssertUnwindSafe(|| queue.deliver());
        assert!(std::panic::catch_unwind(delivery).is_err());
        queue.close();
        queue.deliver();
        assert_eq!(hears.try_iter().collect::<Vec<_>>(), [3, 4, 0]);
    }
}
