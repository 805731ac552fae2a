//! The components of a node, and which router each of their sessions is for: one of this node, or one
//! that is dialled. Must not know what a component does.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Error, GRACE, settings};
use crate::config::{self, Connect, Home, NodeConfig};
use component::{Classes, Instance, Session, Setup, Status};
use reactor::{Mailbox, Reactor};
use wamp::{Peer, Uri};
use wamp_transport::{Dialler, Mail, Realms};

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
}

/// A component that serves another router.
struct Dialled {
    dialler: Dialler,
    /// The session on the latest connection.
    latest: Latest,
}

type Latest = Arc<Mutex<Option<Arc<Session>>>>;

impl Components {
    pub(super) fn new(wait_asleep: bool) -> Self {
        Self {
            wait_asleep,
            ..Self::default()
        }
    }

    /// Makes the components that live with a router of this node, and lets them join it.
    pub(super) fn start_in_process(
        &mut self,
        config: &NodeConfig,
        classes: &Classes,
        realms: &[Arc<Realms>],
        io_threads: &mut [Reactor<Mail>],
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
                    .push(dial(component, connect, instance, mailbox));
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
                    Home::Remote(_) => GRACE,
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
    /// For as long as the components take, and up to 3 s for each other router.
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
    io_threads: &mut [Reactor<Mail>],
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
    let session = Session::new(component.classname.as_str(), uri, instance);
    let role = component.role.as_deref().unwrap_or(ANONYMOUS);
    let peer: Arc<dyn Peer> = session.clone();
    wamp_transport::open_local(realm, &peer, role, io_threads);
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
) -> Dialled {
    let latest = Latest::default();
    let uri = Uri::from(component.realm.as_str());
    let classname = component.classname.clone();
    let make_peer = {
        let latest = latest.clone();
        move || {
            let session = Session::new(classname.as_str(), uri.clone(), instance.clone());
            *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
            session as Arc<dyn Peer>
        }
    };
    let target = settings::target(connect);
    let dialler = Dialler::start(target, mailbox.clone(), Box::new(make_peer));
    Dialled { dialler, latest }
}
