//! Sessions that live in this process: their way to the router. Must not know what the messages
//! mean.

use std::sync::Arc;

use super::{outbox::Mail, realm::Realm};
use reactor::{Context, Mailbox, Reactor, Task, TaskId};
use wamp::{
    GuardId, Hello, Message, Outbound, Pattern, Peer, Receipt, Ticket, Transport, TransportKind,
    Verdict, Work, Yield,
};
use wamp_router::{Capacity, PeerId};

/// The way from a session that lives in this process to its router.
struct LocalTransport {
    realm: Arc<Realm>,
    peer: PeerId,
    authrole: String,
    capacity: Option<Capacity>,
    /// One for each I/O thread.
    outbounds: Vec<Arc<LocalOutbound>>,
}

impl Transport for LocalTransport {
    fn send(&self, message: Message) {
        match message {
            Message::Hello(hello) => self.hello(hello),
            message => self.realm.receive(self.peer, message, None),
        }
    }

    fn send_part(&self, part: Yield, taken: Receipt) {
        self.realm.receive_part(self.peer, part, taken);
    }

    fn guard(&self, guard: GuardId, topics: Pattern) -> bool {
        self.realm.guard(self.peer, guard, topics);
        true
    }

    fn end_guard(&self, guard: GuardId) {
        self.realm.end_guard(self.peer, guard);
    }

    fn answer_question(&self, question: Ticket, verdict: Verdict) {
        self.realm.answer_question(self.peer, question, verdict);
    }

    fn outbound(&self) -> Option<Arc<dyn Outbound>> {
        let here = self.outbounds.iter().find(|o| o.mailbox.is_here())?;
        Some(here.clone())
    }
}

impl LocalTransport {
    fn hello(&self, hello: Hello) {
        let how = (TransportKind::Memory, self.capacity);
        self.realm.hello(self.peer, hello, &self.authrole, how);
    }
}

/// The way to an I/O thread, which sends what is posted.
struct LocalOutbound {
    mailbox: Mailbox<Mail>,
    task: TaskId,
}

impl Outbound for LocalOutbound {
    fn post(&self, message: Message) -> Result<(), Message> {
        match self.mailbox.post_to_task(self.task, Mail::Message(message)) {
            Err(Mail::Message(message)) => Err(message),
            _ => Ok(()),
        }
    }

    fn run(&self, work: Work) -> Result<(), Work> {
        match self.mailbox.post_to_task(self.task, Mail::Work(work)) {
            Err(Mail::Work(work)) => Err(work),
            _ => Ok(()),
        }
    }
}

/// Gives what is posted to the peer, and does what is to be done, on its I/O thread.
struct Posted(Arc<dyn Peer>);

impl Task<Mail> for Posted {
    fn on_mail(&mut self, mail: Mail, _: &mut Context<'_>) {
        match mail {
            Mail::Message(message) => self.0.on_posted(message),
            Mail::Work(work) => work(),
            // For connections.
            _ => {}
        }
    }
}

/// Opens a session of this process: the peer is told its way to the router, and says HELLO. What it
/// posts is sent by the I/O threads. They may be none; they are not running yet.
///
/// `capacity` is how many invocations it can have at a time, where something bounds its work: no
/// caller gets more than a share of it.
pub fn open_local(
    realm: &Arc<Realm>,
    peer: &Arc<dyn Peer>,
    authrole: &str,
    capacity: Option<Capacity>,
    io_threads: &mut [Reactor<Mail>],
) {
    let outbound = |reactor: &mut Reactor<Mail>| {
        Arc::new(LocalOutbound {
            mailbox: reactor.mailbox(),
            task: reactor.add_task(Box::new(Posted(peer.clone()))),
        })
    };
    let transport = LocalTransport {
        realm: realm.clone(),
        peer: realm.admit_local(peer.clone()),
        authrole: authrole.to_owned(),
        capacity,
        outbounds: io_threads.iter_mut().map(outbound).collect(),
    };
    peer.on_open(Arc::new(transport));
}
