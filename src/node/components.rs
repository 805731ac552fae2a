//! The components of a node, and which router each of their sessions is for: one of this node, or
//! one that is dialled. Must not know what a component does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, Weak},
    thread::JoinHandle,
    time::Instant,
};

use super::{
    Error,
    databases::{Database, Databases},
    reloads::{Reload, Reloader},
    settings,
};
use crate::config::{self, ClientTransport, NodeConfig, Transport};
use component::{
    Classes, Instance, RealmHandle, ReloadHandle, Session, SessionHandle, Setup, Status,
};
use reactor::{Mailbox, Reactor};
use wamp::{ANONYMOUS, Peer, Uri};
use wamp_router::Capacity;
use wamp_transport::{Dialler, Mail, Realms};

/// All components of a node.
pub(super) struct Components {
    databases: Arc<Databases>,
    reloader: Reloader,
    /// Those that live with a router of this node.
    in_process: Vec<Member>,
    dialled: Vec<Dialled>,
}

/// A component, and the databases that it may use.
#[derive(Clone)]
struct Member {
    instance: Arc<Instance>,
    databases: Vec<Arc<Database>>,
}

impl Reload for Arc<Instance> {
    fn reload(&self) {
        Instance::reload(self);
    }

    fn watch(&self) {
        Instance::watch(self);
    }
}

/// A component that serves another router.
struct Dialled {
    member: Member,
    dialler: Dialler,
    /// The session on the latest connection.
    latest: Latest,
}

type Latest = Arc<Mutex<Option<Arc<Session>>>>;

impl Components {
    pub(super) fn new(databases: Arc<Databases>, reloader: Reloader) -> Self {
        Self {
            databases,
            reloader,
            in_process: Vec::new(),
            dialled: Vec::new(),
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
        // All components of a realm share what is known of it.
        let mut handles = BTreeMap::new();
        for component in &config.components {
            if let Transport::InProcess { router } = component.transport {
                let realm = (handles.entry((router, component.realm.as_str())))
                    .or_insert_with(|| handle(&realms[router], &component.realm));
                let member = self.make(component, classes, realm.clone())?;
                let instance = member.instance.clone();
                self.in_process.push(member);
                let capacity = component.database.map(|index| capacity(config, index));
                join(component, instance, (&realms[router], capacity), io_threads)?;
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
            if let Transport::Dialled(connect) = &component.transport {
                let member = self.make(component, classes, RealmHandle::default())?;
                let dialled = dial(component, connect, member, mailbox);
                self.dialled.push(dialled);
            }
        }
        Ok(())
    }

    fn make(
        &self,
        component: &config::Component,
        classes: &Classes,
        realm_handle: RealmHandle,
    ) -> Result<Member, Error> {
        let database = component.database.map(|index| self.databases.enter(index));
        let named = component.databases.iter();
        let named: BTreeMap<_, _> = named
            .map(|(name, index)| (name.clone(), self.databases.enter(*index)))
            .collect();
        let (reloader, id) = (self.reloader.clone(), self.reloader.new_id());
        let named_databases = named.iter();
        let named_databases =
            named_databases.map(|(name, database)| (name.clone(), database.named()));
        let setup = Setup {
            extra: component.extra.clone(),
            database: database.as_deref().map(Database::pool),
            realm: component.realm.as_str().into(),
            databases: named_databases.collect(),
            session: SessionHandle::default(),
            realm_handle,
            reload: ReloadHandle::new(move || reloader.reload(id)),
        };
        let made = classes
            .make(&component.classname, setup)
            .and_then(|mut instance| {
                for (uri, concurrency) in &component.concurrency {
                    instance.limit(uri, *concurrency)?;
                }
                if let Some(database) = &database {
                    instance.show_error_details(database.error_details());
                }
                Ok(instance)
            });
        let instance = made.map_err(|source| Error::Component {
            json_path: component.json_path.clone(),
            classname: component.classname.clone(),
            source,
        })?;
        let instance = Arc::new(instance);
        self.reloader.add(id, instance.clone());
        let databases = database.into_iter().chain(named.into_values()).collect();
        Ok(Member {
            instance,
            databases,
        })
    }

    /// Lets the components of other routers finish what they are at and close what they opened,
    /// and closes the databases that only they use. Each has a thread of its own, so that they
    /// share their time.
    pub(super) fn leave_other_routers(&self) -> Vec<JoinHandle<()>> {
        let members = self.dialled.iter().map(|dialled| &dialled.member);
        members.filter_map(leave).collect()
    }

    /// Lets the components of this node's routers close what they opened, closes their databases,
    /// and takes leave of other routers until `deadline`.
    ///
    /// # Blocking
    /// For as long as the components take, and until `deadline` for other routers.
    pub(super) fn close(self, deadline: Instant) {
        for Dialled {
            dialler, latest, ..
        } in &self.dialled
        {
            dialler.stop();
            let latest = latest.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(session) = latest {
                session.leave();
            }
        }
        let leaving: Vec<_> = self.in_process.iter().filter_map(leave).collect();
        for thread in leaving {
            // A panic in it is told of already.
            let _ = thread.join();
        }
        for Dialled { dialler, .. } in self.dialled {
            dialler.join(deadline);
        }
    }
}

/// What components may ask of a realm. Its sessions hold them, so they do not hold it.
fn handle(realms: &Realms, name: &str) -> RealmHandle {
    let realm = realms.find(&name.into()).map(Arc::downgrade);
    RealmHandle::new(move |caller, procedure| {
        let realm = realm.as_ref().and_then(Weak::upgrade);
        realm.is_some_and(|realm| realm.may_call(caller, procedure))
    })
}

/// Tells a component that the node is stopping, on a thread of its own if there is one to be had.
fn leave(member: &Member) -> Option<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("leave".to_owned());
    let leaving = member.clone();
    let spawned = thread.spawn(move || leaving.leave());
    if spawned.is_err() {
        member.leave();
    }
    spawned.ok()
}

impl Member {
    /// Lets the component close what it opened, then its databases unless others still use them.
    fn leave(&self) {
        self.instance.leave();
        self.databases.iter().for_each(|database| database.leave());
    }
}

/// What a router is told of a database's pool: all that can wait there or be at work, or its part of
/// that where several realms have the database in common. Their routers know nothing of each other.
fn capacity(config: &NodeConfig, index: usize) -> Capacity {
    let database = &config.databases[index];
    let users = (config.components.iter()).filter(|component| component.database == Some(index));
    let realms: BTreeSet<_> = users
        .map(|component| match component.transport {
            Transport::InProcess { router } => (Some(router), component.realm.as_str()),
            Transport::Dialled(_) => (None, component.json_path.as_str()),
        })
        .collect();
    // What txpostgres sends ahead comes on top, but only as long as statements are quick: slow ones
    // have a connection each, and more than this would be refused by the queue, whoever calls.
    let in_all = database.queue_limit + database.cp_max as usize;
    Capacity {
        pool: index,
        invocations: in_all.div_ceil(realms.len().max(1)),
        settings: "queue_limit and cp_max",
        mend: "raise queue_limit or cp_max of its database",
    }
}

/// Lets a component join a realm of this node, in memory. When this returns it has joined and
/// registered all, unless somebody has to be asked first.
fn join(
    component: &config::Component,
    instance: Arc<Instance>,
    (realms, capacity): (&Realms, Option<Capacity>),
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
    wamp_transport::open_local(realm, &peer, role, capacity, io_threads);
    match session.status() {
        Status::Joined(_) => Ok(()),
        Status::Joining => {
            tracing::info!(
                component = component.classname,
                "a component waits until somebody has said that it may register and subscribe"
            );
            Ok(())
        }
        Status::Ended(reason) => Err(not_joined(reason)),
    }
}

/// Keeps a component on another router. Each connection gets a session of its own.
fn dial(
    component: &config::Component,
    connect: &ClientTransport,
    member: Member,
    mailbox: &Mailbox<Mail>,
) -> Dialled {
    let latest = Latest::default();
    let instance = member.instance.clone();
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
    Dialled {
        member,
        dialler,
        latest,
    }
}
