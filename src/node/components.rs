//! The components of a node and the links between their sessions and a router: in memory, or over
//! a dialled connection. Must not know what a component does.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use super::{Error, settings};
use crate::{
    component::{Classes, Instance, Session, Setup, Status, Uplink},
    config::{self, Connect, Home, NodeConfig},
    reactor::{Mailbox, Reactor, Resident, ResidentId},
    transport::{DialledSession, Dialler, LocalPeer, LocalSession, Mail, Realms},
    wamp::{Message, Uri},
};

/// How long jobs may still run when a pool is closed that has no calls to answer any more.
const POOL_GRACE: Duration = Duration::from_secs(1);
/// The role of a component for which the configuration names none.
const ANONYMOUS: &str = "anonymous";

/// All components of a node.
#[derive(Default)]
pub(super) struct Components {
    instances: Vec<Arc<Instance>>,
    dialled: Vec<Dialled>,
    /// Whether the workers of their databases sleep whenever they wait.
    wait_asleep: bool,
    /// How long calls from other routers may take to end when the node stops.
    grace: Duration,
}

/// A component that serves another router.
struct Dialled {
    dialler: Dialler,
    /// The session on the latest connection.
    latest: Latest,
}

type Latest = Arc<Mutex<Option<Arc<Session>>>>;

impl Components {
    pub(super) fn new(wait_asleep: bool, grace: Duration) -> Self {
        Self {
            wait_asleep,
            grace,
            ..Self::default()
        }
    }

    /// Makes the components that live with a router of this node, and lets them join it.
    pub(super) fn start_in_process(
        &mut self,
        config: &NodeConfig,
        classes: &Classes,
        realms: &[Arc<Realms>],
        io_threads: &mut IoThreads<'_>,
    ) -> Result<(), Error> {
        for component in &config.components {
            if let Home::Router { router } = component.home {
                let instance = self.make(component, classes)?;
                join(component, instance, &realms[router], io_threads)?;
            }
        }
        Ok(())
    }

    /// Makes the components that serve other routers, and begins to dial those.
    pub(super) fn start_dialling(
        &mut self,
        config: &NodeConfig,
        classes: &Classes,
        mailboxes: &[Mailbox<Mail>],
    ) -> Result<(), Error> {
        for (component, mailbox) in config.components.iter().zip(mailboxes.iter().cycle()) {
            if let Home::Remote(connect) = &component.home {
                let instance = self.make(component, classes)?;
                self.dialled
                    .push(dial(component, connect, instance, mailbox)?);
            }
        }
        Ok(())
    }

    fn make(
        &mut self,
        component: &config::Component,
        classes: &Classes,
    ) -> Result<Arc<Instance>, Error> {
        let setup = Setup {
            extra: component.extra.clone(),
            database: component.database.as_ref().map(|database| {
                let grace = match component.home {
                    // The node has waited for the calls of its own realms before.
                    Home::Router { .. } => POOL_GRACE,
                    Home::Remote(_) => self.grace,
                };
                settings::pool(database)
                    .close_grace(grace)
                    .wait_awake(!self.wait_asleep)
            }),
        };
        let made = classes
            .make(&component.classname, setup)
            .and_then(|mut instance| {
                for (uri, concurrency) in &component.concurrency {
                    instance.limit(uri, *concurrency)?;
                }
                Ok(instance)
            });
        let instance = made.map_err(|source| Error::Component {
            json_path: component.json_path.clone(),
            classname: component.classname.clone(),
            source,
        })?;
        let instance = Arc::new(instance);
        self.instances.push(instance.clone());
        Ok(instance)
    }

    /// Lets every component finish what it is at and close what it opened, then takes its
    /// leave of other routers.
    ///
    /// # Blocking
    /// For as long as the components take, and up to 3 s for each other router. The node leaves it behind when its time
    /// for a stop is over.
    pub(super) fn close(mut self) {
        for instance in &self.instances {
            instance.leave();
        }
        for Dialled { dialler, latest } in &mut self.dialled {
            dialler.stop();
            let latest = latest.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(session) = latest {
                session.leave();
            }
        }
        for Dialled { dialler, .. } in self.dialled {
            dialler.join();
        }
    }
}

/// Lets a component join a realm of this node, in memory. It is joined when this returns.
fn join(
    component: &config::Component,
    instance: Arc<Instance>,
    realms: &Realms,
    io_threads: &mut IoThreads<'_>,
) -> Result<(), Error> {
    let not_joined = |reason: String| Error::NotJoined {
        json_path: component.json_path.clone(),
        classname: component.classname.clone(),
        reason,
    };
    let uri = Uri::from(component.realm.as_str());
    let realm = realms
        .find(&uri)
        .ok_or_else(|| not_joined(format!("there is no realm {uri}")))?;
    let link = Arc::new(Link::default());
    let role = component.role.as_deref().unwrap_or(ANONYMOUS);
    let uplink = Local {
        session: realm.open_local(link.clone(), role),
        resident: io_threads.house(&link),
        mailboxes: io_threads.mailboxes.clone(),
    };
    let session = Session::new(component.classname.as_str(), uri, instance, uplink);
    link.begin(session.clone());
    match session.status() {
        Status::Joined(_) => Ok(()),
        Status::Joining => Err(not_joined("the router has not answered".to_owned())),
        Status::Ended(reason) => Err(not_joined(reason)),
    }
}

/// Keeps a component on another router. Each connection gets a session of its own.
fn dial(
    component: &config::Component,
    connect: &Connect,
    instance: Arc<Instance>,
    mailbox: &Mailbox<Mail>,
) -> Result<Dialled, Error> {
    let latest = Latest::default();
    let uri = Uri::from(component.realm.as_str());
    let classname = component.classname.clone();
    let make_peer = {
        let latest = latest.clone();
        move |dialled: DialledSession| {
            let link = Arc::new(Link::default());
            let send = move |message| dialled.send(message);
            let session = Session::new(classname.as_str(), uri.clone(), instance.clone(), send);
            *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
            link.begin(session);
            link as Arc<dyn LocalPeer>
        }
    };
    let target = settings::target(connect);
    let dialler = Dialler::start(target, mailbox.clone(), Box::new(make_peer))?;
    Ok(Dialled { dialler, latest })
}

/// The I/O threads of a node, before they run.
pub(super) struct IoThreads<'a> {
    pub(super) reactors: &'a mut [Reactor<Mail>],
    pub(super) mailboxes: Arc<[Mailbox<Mail>]>,
}

impl IoThreads<'_> {
    /// Lets every I/O thread read mail for the session at the end of this link.
    fn house(&mut self, link: &Arc<Link>) -> ResidentId {
        let house = |reactor: &mut Reactor<_>| reactor.house(Box::new(link.clone()));
        let ids = self.reactors.iter_mut().map(house);
        ids.last().expect("a node has an I/O thread")
    }
}

/// The way from a component's session to a router of this node.
struct Local {
    session: LocalSession,
    mailboxes: Arc<[Mailbox<Mail>]>,
    resident: ResidentId,
}

impl Uplink for Local {
    fn send(&self, message: Message) {
        self.session.send(message);
    }

    fn home(&self) -> Option<usize> {
        self.mailboxes.iter().position(Mailbox::is_here)
    }

    fn post(&self, home: usize, message: Message) -> Result<(), Message> {
        match self.mailboxes[home].post_to_resident(self.resident, Mail::Message(message)) {
            Err(Mail::Message(message)) => Err(message),
            _ => Ok(()),
        }
    }
}

/// The way from a router to a component's session.
#[derive(Default)]
struct Link {
    /// Set before the session says its first word, so that no answer can come too early.
    session: OnceLock<Arc<Session>>,
}

impl Link {
    fn begin(&self, session: Arc<Session>) {
        self.session.get_or_init(|| session).join();
    }
}

/// The answers that the session's workers post come to it here, on the I/O threads.
impl Resident<Mail> for Arc<Link> {
    fn on_mail(&mut self, mail: Mail) {
        if let (Some(session), Mail::Message(message)) = (self.session.get(), mail) {
            session.send_posted(message);
        }
    }
}

impl LocalPeer for Link {
    fn on_message(&self, message: Message) {
        if let Some(session) = self.session.get() {
            session.on_message(message);
        }
    }

    fn on_close(&self) {
        if let Some(session) = self.session.get() {
            session.on_close();
        }
    }
}
