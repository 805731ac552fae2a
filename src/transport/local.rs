//! Sessions that live in this process: their two ends, and the order in which messages reach them.
//! Must not know what the messages mean.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::realm::Realm;
use crate::{router::PeerId, wamp::Message};

/// The client end of a session that lives in this process.
///
/// One message comes at a time and all come in the order in which the router gave them, on
/// whichever thread caused them. Implementations must not block, and may send from within a call.
pub trait LocalPeer: Send + Sync {
    /// A message from the router.
    fn on_message(&self, message: Message);

    /// The session has ended; nothing more comes.
    fn on_close(&self);
}

/// What waits for a local peer. Filled under the realm's lock, which gives the order, and
/// emptied without it, by one thread at a time.
pub(super) struct Inlet {
    peer: Arc<dyn LocalPeer>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Letter>,
    /// A thread is delivering, and will deliver whatever comes meanwhile.
    is_emptied: bool,
}

enum Letter {
    Message(Message),
    Close,
}

impl Inlet {
    pub(super) fn new(peer: Arc<dyn LocalPeer>) -> Arc<Self> {
        Arc::new(Self {
            peer,
            queue: Mutex::default(),
        })
    }

    pub(super) fn put(&self, message: Message) {
        self.lock().waiting.push_back(Letter::Message(message));
    }

    pub(super) fn close(&self) {
        self.lock().waiting.push_back(Letter::Close);
    }

    /// Delivers what waits, unless another thread, or this one further up, is at it.
    pub(super) fn deliver(&self) {
        if std::mem::replace(&mut self.lock().is_emptied, true) {
            return;
        }
        let mut turn = Turn { inlet: self };
        while let Some(letter) = turn.next() {
            match letter {
                Letter::Message(message) => self.peer.on_message(message),
                Letter::Close => self.peer.on_close(),
            }
        }
        std::mem::forget(turn);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread's turn at delivering. It ends with the last letter, or with the peer's panic.
struct Turn<'a> {
    inlet: &'a Inlet,
}

impl Turn<'_> {
    /// The next letter. With the last one the turn ends, in the same breath, so that no letter
    /// can come between.
    fn next(&mut self) -> Option<Letter> {
        let mut queue = self.inlet.lock();
        let letter = queue.waiting.pop_front();
        queue.is_emptied = letter.is_some();
        letter
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.inlet.lock().is_emptied = false;
    }
}

/// The router's end of a session that lives in this process.
pub struct LocalSession {
    pub(super) realm: Arc<Realm>,
    pub(super) peer: PeerId,
    pub(super) authrole: String,
}

impl LocalSession {
    /// Sends a message to the router; the first must be HELLO. The answer may come before this
    /// returns.
    pub fn send(&self, message: Message) {
        match message {
            Message::Hello(hello) => self.realm.hello(self.peer, hello, &self.authrole),
            message => self.realm.receive(self.peer, message),
        }
    }

    /// Ends the session without a word. Its registrations and subscriptions end with it.
    pub fn leave(&self) {
        self.realm.leave(self.peer);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::wamp::{RequestId, Unsubscribed};

    fn message(id: u64) -> Message {
        let request = RequestId::new(id).unwrap();
        Unsubscribed { request }.into()
    }

    fn id(message: &Message) -> u64 {
        match message {
            Message::Unsubscribed(m) => m.request.value(),
            other => panic!("{other:?}"),
        }
    }

    /// Puts a second message when it gets the first, and panics at the third.
    struct Peer {
        inlet: Mutex<Option<Arc<Inlet>>>,
        heard: mpsc::Sender<u64>,
    }

    impl LocalPeer for Peer {
        fn on_message(&self, m: Message) {
            if id(&m) == 1 {
                let inlet = self.inlet.lock().unwrap().clone().unwrap();
                inlet.put(message(2));
                inlet.deliver();
            }
            self.heard.send(id(&m)).unwrap();
            assert_ne!(id(&m), 3, "on purpose");
        }
        fn on_close(&self) {
            self.heard.send(0).unwrap();
        }
    }

    #[test]
    fn messages_come_one_at_a_time_and_in_order() {
        let (heard, hears) = mpsc::channel();
        let peer = Arc::new(Peer {
            inlet: Mutex::new(None),
            heard,
        });
        let inlet = Inlet::new(peer.clone());
        *peer.inlet.lock().unwrap() = Some(inlet.clone());
        inlet.put(message(1));
        inlet.deliver();
        assert_eq!(hears.try_iter().collect::<Vec<_>>(), [1, 2]);

        // A peer that panics gets what comes after it all the same.
        inlet.put(message(3));
        inlet.put(message(4));
        let delivery = std::panic::AssertUnwindSafe(|| inlet.deliver());
        assert!(std::panic::catch_unwind(delivery).is_err());
        inlet.close();
        inlet.deliver();
        assert_eq!(hears.try_iter().collect::<Vec<_>>(), [3, 4, 0]);
    }
}
