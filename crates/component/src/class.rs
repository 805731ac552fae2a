//! Component classes, their names and their instances. Must not know where an instance's session
//! runs.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use serde_json::Value;

#[cfg(feature = "adbapi")]
use super::OpenFun;
use super::{
    Answer, Error, ErrorDetails, Invocation, OnConnect, Pool, RealmHandle, ReloadHandle,
    SessionHandle, Subscription, hello, sql, subscription::BoundSubscription,
};
use wamp::Uri;

/// A class of components. One instance is made for each place in the configuration; its
/// procedures may be called from several threads at once.
pub trait Component: Send + Sync + Sized + 'static {
    /// Whether the class cannot do without `extra.database`; what the configuration leaves out
    /// of it is then filled in from the environment.
    const NEEDS_DATABASE: bool = false;

    /// Whether the class registers procedures later than at the start, by
    /// [`SessionHandle::register`]: then `extra.procedures` may name any.
    const REGISTERS_LATER: bool = false;

    /// Called once for each new connection of the component's database, before its first job: it is
    /// told the process id of the backend, and gives the SQL that sets up the session. An error, or a
    /// panic, discards the connection and counts as a failure to connect. It must not block. A
    /// database that components of several classes use has theirs called one after the other.
    const ON_CONNECT: Option<OnConnect> = None;

    /// The same by adbapi's means, its `cp_openfun`, for a component whose database is adbapi's. It
    /// runs on a thread of the pool and may block.
    #[cfg(feature = "adbapi")]
    const CP_OPENFUN: Option<OpenFun> = None;

    /// Makes the instance, before it joins: open what the procedures need. Unlike Autobahn's
    /// `onJoin` it is called once. When the connection to another router was lost and is back, the
    /// same instance goes on.
    ///
    /// # Errors
    /// Whatever keeps the component from working at all; the node then does not start. A
    /// database that is down is no reason: a pool connects when it can.
    fn on_join(setup: Setup) -> Result<Self, Error>;

    /// The procedures to register.
    fn procedures(&self) -> Vec<Procedure<Self>>;

    /// The topics to subscribe to, on each new session again.
    fn subscriptions(&self) -> Vec<Subscription<Self>> {
        Vec::new()
    }

    /// All procedures are registered and all topics subscribed to: once in this process, and on
    /// each new connection to another router. What the component calls or publishes when it begins
    /// belongs here. Runs on an I/O thread, or on the one that starts the node, and must not block.
    ///
    /// The components of a configuration join one after the other: those that come later are not
    /// there yet.
    fn on_ready(&self) {}

    /// Read again what the class has read at its start, such as files: somebody has told the node to
    /// (SIGHUP), or the component itself has by [`Setup::reload`]. Runs on a thread of the node's that
    /// may block, one call at a time.
    fn on_reload(&self) {}

    /// Only with `--watch`, for development: look whether what [`on_reload`](Self::on_reload) reads is
    /// another by now, and ask for a reload if it is. Called about twice a second, on the same thread.
    fn on_watch(&self) {}

    /// The node is stopping: finish what is under way and close what `on_join` opened. The database
    /// is the node's, which closes it when all components that use it have left.
    fn on_leave(&self) {}
}

/// A procedure of a class: its URI and the method that answers.
pub struct Procedure<C> {
    uri: Uri,
    method: UnboundMethod<C>,
    concurrency: Option<NonZeroU64>,
}

type UnboundMethod<C> = Box<dyn Fn(&C, Invocation) -> Answer + Send + Sync>;

impl<C> Procedure<C> {
    /// The procedure with this URI, answered by `method`. The method runs on an I/O thread and must
    /// not block: what takes time belongs into a [`Deferred`](deferred::Deferred). What it prints goes through
    /// [`stdio::print_line`], because `println!` blocks on a reader that has stopped.
    pub fn new(
        uri: impl Into<Uri>,
        method: impl Fn(&C, Invocation) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self {
            uri: uri.into(),
            method: Box::new(method),
            concurrency: None,
        }
    }

    pub(super) fn bind(self, component: &Arc<C>) -> BoundProcedure
    where
        C: Send + Sync + 'static,
    {
        let component = component.clone();
        BoundProcedure {
            uri: self.uri,
            method: Box::new(move |call| (self.method)(&component, call)),
            concurrency: self.concurrency,
        }
    }

    /// Lets at most `invocations` of the procedure run at once; further calls wait in the
    /// dealer. For what is slow, so that it does not take every worker of a pool. The
    /// configuration's `extra.procedures` overrides it.
    #[must_use]
    pub fn concurrency(mut self, invocations: NonZeroU64) -> Self {
        self.concurrency = Some(invocations);
        self
    }
}

impl Procedure<()> {
    /// The procedure with this URI, answered by a function that is no class's: for
    /// [`SessionHandle::register`].
    pub fn function(
        uri: impl Into<Uri>,
        function: impl Fn(Invocation) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::new(uri, move |(), call| function(call))
    }
}

/// What the configuration gives a component.
#[derive(Clone)]
pub struct Setup {
    /// The component's `extra` without `database` and `procedures`, which the node reads itself;
    /// null if none is written.
    pub extra: Value,
    /// The pool of the database that `extra.database` names or describes. Other components may use
    /// it as well.
    pub database: Option<Pool>,
    /// The realm that the component joins.
    pub realm: Uri,
    /// The databases of the node by their names, for the class `sql.Procedures`; empty for others.
    pub databases: BTreeMap<String, NamedDatabase>,
    /// The component's session, for calls and publications. Nothing can be asked of it before
    /// [`on_ready`](Component::on_ready).
    pub session: SessionHandle,
    /// What can be asked about the realm.
    pub realm_handle: RealmHandle,
    /// Asks for the component to be reloaded.
    pub reload: ReloadHandle,
}

/// A database of the node that has a name.
#[derive(Clone)]
pub struct NamedDatabase {
    /// Its pool, which other components may use as well.
    pub pool: Pool,
    /// What callers get of its reports of errors, at most.
    pub error_details: ErrorDetails,
}

impl Setup {
    /// The pool of the database that `extra.database` names or describes. It connects when it is
    /// first used or [started](Pool::start), and the node closes it. Takes the setup: take what else
    /// you need of it before. A component for one backend asks it for [`Pool::adbapi`] or
    /// [`Pool::txpostgres`].
    ///
    /// # Errors
    /// When the configuration describes none; the message names the key that is missing.
    pub fn database(self) -> Result<Pool, Error> {
        self.database.ok_or_else(|| {
            Error::runtime(
                "this component needs a database: describe it in extra.database, or let the class \
                 say NEEDS_DATABASE, and the environment describes it",
            )
        })
    }
}

/// The classes a configuration can name.
#[derive(Clone)]
pub struct Classes {
    by_name: BTreeMap<String, Class>,
}

#[derive(Clone)]
struct Class {
    make: Make,
    needs_database: bool,
    on_connect: Option<OnConnect>,
    #[cfg(feature = "adbapi")]
    cp_openfun: Option<OpenFun>,
}

type Make = Arc<dyn Fn(Setup) -> Result<Instance, Error> + Send + Sync>;

impl Default for Classes {
    /// The classes that come with the node.
    fn default() -> Self {
        let classes = Self {
            by_name: BTreeMap::new(),
        };
        classes
            .with::<hello::MyDatabaseComponent>(hello::CLASSNAME)
            .with::<sql::Procedures>(sql::CLASSNAME)
    }
}

impl Classes {
    /// These classes and `C`, which the configuration calls `name`.
    #[must_use]
    pub fn with<C: Component>(mut self, name: &str) -> Self {
        let make: Make = Arc::new(|setup| {
            let session = setup.session.clone();
            C::on_join(setup).map(|component| Instance::of(component, session))
        });
        self.by_name.insert(
            name.to_owned(),
            Class {
                make,
                needs_database: C::NEEDS_DATABASE,
                on_connect: C::ON_CONNECT,
                #[cfg(feature = "adbapi")]
                cp_openfun: C::CP_OPENFUN,
            },
        );
        self
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The names of the classes that cannot do without a database.
    pub fn names_with_database(&self) -> impl Iterator<Item = &str> {
        self.by_name
            .iter()
            .filter(|(_, class)| class.needs_database)
            .map(|(name, _)| name.as_str())
    }

    /// What the class called `name` wants done to each new connection of its database.
    pub fn on_connect(&self, name: &str) -> Option<OnConnect> {
        self.by_name.get(name)?.on_connect
    }

    /// The same by adbapi's means.
    #[cfg(feature = "adbapi")]
    pub fn cp_openfun(&self, name: &str) -> Option<OpenFun> {
        self.by_name.get(name)?.cp_openfun
    }

    /// Makes an instance of the class called `name`.
    ///
    /// # Errors
    /// When there is no such class, or what its `on_join` says.
    pub fn make(&self, name: &str, setup: Setup) -> Result<Instance, Error> {
        let class = self
            .by_name
            .get(name)
            .ok_or_else(|| Error::runtime(format_args!("there is no class {name:?}")))?;
        (class.make)(setup)
    }
}

/// A component of some class.
pub struct Instance {
    pub(super) procedures: Vec<BoundProcedure>,
    pub(super) subscriptions: Vec<BoundSubscription>,
    pub(super) session: SessionHandle,
    pub(super) error_details: ErrorDetails,
    registers_later: bool,
    component: Arc<dyn Lifecycle>,
}

/// A component of any class, as far as it is told what happens around it.
trait Lifecycle: Send + Sync {
    fn ready(&self);
    fn reload(&self);
    fn watch(&self);
    fn leave(&self);
}

impl<C: Component> Lifecycle for C {
    fn ready(&self) {
        self.on_ready();
    }

    fn reload(&self) {
        self.on_reload();
    }

    fn watch(&self) {
        self.on_watch();
    }

    fn leave(&self) {
        self.on_leave();
    }
}

/// A procedure bound to its instance.
pub(super) struct BoundProcedure {
    pub(super) uri: Uri,
    pub(super) method: Box<dyn Fn(Invocation) -> Answer + Send + Sync>,
    /// How many invocations may be under way at once.
    pub(super) concurrency: Option<NonZeroU64>,
}

impl Instance {
    pub(super) fn of<C: Component>(component: C, session: SessionHandle) -> Self {
        let component = Arc::new(component);
        let procedures = component.procedures().into_iter();
        let procedures = procedures.map(|one| one.bind(&component)).collect();
        let subscriptions = component.subscriptions().into_iter();
        let subscriptions = subscriptions.map(|one| one.bind(&component)).collect();
        Self {
            procedures,
            subscriptions,
            session,
            registers_later: C::REGISTERS_LATER,
            error_details: ErrorDetails::default(),
            component,
        }
    }

    /// Tells the component that its session is ready.
    pub(super) fn ready(&self) {
        self.call("in on_ready", |component| component.ready());
    }

    /// Has the component read again what it has read at its start.
    ///
    /// # Blocking
    /// For as long as the component takes.
    pub fn reload(&self) {
        self.call("while it was reloaded", |component| component.reload());
    }

    /// Has the component look whether it is to be reloaded.
    ///
    /// # Blocking
    /// As [`reload`](Self::reload).
    pub fn watch(&self) {
        self.call("while it was watching", |component| component.watch());
    }

    /// Calls a method of the component. A panic there is logged and goes no further.
    fn call(&self, when: &str, method: impl FnOnce(&dyn Lifecycle)) {
        if catch_unwind(AssertUnwindSafe(|| method(&*self.component))).is_err() {
            tracing::error!(target: crate::LOG, "a component has panicked {when}");
        }
    }

    /// Sets how many invocations of a procedure may be under way at once, by its URI.
    ///
    /// # Errors
    /// When the component has no procedure of such a URI; the message names those it has.
    pub fn limit(&mut self, uri: &str, concurrency: NonZeroU64) -> Result<(), Error> {
        let procedure = self.procedures.iter_mut().find(|p| p.uri.as_str() == uri);
        if let Some(procedure) = procedure {
            procedure.concurrency = Some(concurrency);
            return Ok(());
        }
        if self.registers_later {
            self.session.limit(uri, concurrency);
            return Ok(());
        }
        let uris: Vec<_> = self.procedures.iter().map(|p| p.uri.as_str()).collect();
        Err(Error::runtime(format_args!(
            "extra.procedures names {uri:?}, which is not a procedure of this component: {}",
            uris.join(", ")
        )))
    }

    /// Sets how much of what PostgreSQL reports with an error callers get.
    pub fn show_error_details(&mut self, shown: ErrorDetails) {
        self.error_details = shown;
    }

    /// Tells the component that the node is stopping.
    ///
    /// # Blocking
    /// For as long as the component takes to close what it opened.
    pub fn leave(&self) {
        self.call("while it was closing", |component| component.leave());
        self.session.close();
    }
}
