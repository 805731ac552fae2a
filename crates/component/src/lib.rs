//! What answers calls: the component API, the classes by name, and the components that come with
//! the node. Knows WAMP messages and the results of databases; must not know sockets nor the router.
//!
//! A component is a class with an `on_join` and some procedures, as in Autobahn. The container
//! is a builder of sessions: it makes one instance of the class and lets a [`Session`] speak
//! for it, in this process or on a dialled connection alike.
//!
//! ```
//! use component::{Answer, Classes, Component, Error, Invocation, Procedure, Reply, Setup};
//!
//! struct Adder;
//!
//! impl Component for Adder {
//!     fn on_join(_: Setup) -> Result<Self, Error> {
//!         Ok(Self)
//!     }
//!     fn procedures(&self) -> Vec<Procedure<Self>> {
//!         vec![Procedure::new("com.example.add2", Self::add2)]
//!     }
//! }
//!
//! impl Adder {
//!     fn add2(&self, call: Invocation) -> Answer {
//!         let (a, b): (i64, i64) = call.args()?;
//!         Reply::now(a + b)
//!     }
//! }
//!
//! let classes = Classes::default().with::<Adder>("example.Adder");
//! assert!(classes.names().any(|name| name == "example.Adder"));
//! ```
//!
//! # With a database
//!
//! `examples/custom_component.rs` asks PostgreSQL, by the [`Pool`] that `Setup::database` gives. Rows
//! become what serializes by [`Deferred::map`](deferred::Deferred::map). Parameters and columns have the Rust type of
//! the PostgreSQL type: `int4` is `i32`, `int8` `i64`, `float8` `f64`, `text` `String`; `numeric`
//! has none, so cast it in SQL (`price::float8`). `run_query_as` gives structs of one's own instead
//! of rows, and `examples/orm` uses Diesel's models. `get` panics on another type, and the caller is
//! told no more than that; `try_get` in [`and_then`](deferred::Deferred::and_then) says why.
//! A job answers with an error URI of its own by
//! `Err(adbapi::Error::custom(component::Error::new("com.example.sold_out", "none left")))`, which
//! is `sql::Error::custom` with txpostgres.
//! What is not SQL can answer later through [`deferred()`].
//!
//! # In parts
//!
//! A result that is too large to be held goes to its caller in parts, as fast as that takes them:
//! [`Reply::rows`] from the rows of a statement, [`Reply::stream`] from anything. A caller asks for
//! it (`receive_progress`), and [`Invocation::wants_progress`] says whether it has: a procedure can
//! give others a small result, or an error. `examples/streaming.rs` streams a million rows in a few
//! MiB.
//!
//! | the caller | has taken a part when |
//! |---|---|
//! | is on a connection of this node | no more than 64 KiB wait for its socket |
//! | is a component of this node | its callback has returned |
//! | is at another router | no more than 64 KiB wait for that router's socket; what it does with slow callers is its own matter |
//!
//! Until then two parts are on their way at most, and no second one beside 256 KiB. The others of a
//! component, and its answers, do not wait for them. However it ends there is one last answer: after
//! the last part, or an ERROR. The source is let go with it, and at once if the call is canceled,
//! runs out of time or loses its caller.
//!
//! # Calling, publishing, subscribing
//!
//! [`Setup::session`] is the component's end of its session, to be kept for later: it calls other
//! procedures, its own included, and publishes. Topics are named in [`Component::subscriptions`],
//! beside the procedures, so that they are subscribed to again on each new connection to another
//! router. `examples/calling_component.rs` does all three.
//!
//! ```
//! use component::{
//!     Answer, Component, Error, Event, Invocation, Procedure, Reply, SessionHandle, Setup,
//!     Subscription,
//! };
//!
//! struct Till {
//!     session: SessionHandle,
//! }
//!
//! impl Component for Till {
//!     fn on_join(setup: Setup) -> Result<Self, Error> {
//!         Ok(Self { session: setup.session })
//!     }
//!     fn procedures(&self) -> Vec<Procedure<Self>> {
//!         vec![Procedure::new("com.example.order", Self::order)]
//!     }
//!     fn subscriptions(&self) -> Vec<Subscription<Self>> {
//!         vec![Subscription::new("com.example.sold_out", Self::on_sold_out)]
//!     }
//! }
//!
//! impl Till {
//!     /// Answers when another procedure has, and tells whoever subscribes to it.
//!     fn order(&self, call: Invocation) -> Answer {
//!         let (item,): (String,) = call.args()?;
//!         let session = self.session.clone();
//!         let price = self.session.call("com.example.price", (&item,));
//!         Reply::later(price.and_then(move |price| {
//!             let price: i64 = price.value()?;
//!             session.publish("com.example.ordered", (item, price))?;
//!             Ok(price)
//!         }))
//!     }
//!     fn on_sold_out(&self, event: Event) -> Result<(), Error> {
//!         let (item,): (String,) = event.args()?;
//!         stdio::print_line(&format!("no more {item}"));
//!         Ok(())
//!     }
//! }
//! ```
//!
//! [`SessionHandle`] says what becomes of calls while there is no session, and when one ends.
//!
//! # Registering later
//!
//! What a class does not know at its start is registered by [`SessionHandle::register`], and
//! subscribed to by [`SessionHandle::subscribe`], until its handle is dropped:
//!
//! ```
//! use component::{Deferred, Procedure, RegistrationHandle, Reply, SessionHandle};
//!
//! fn serve(session: &SessionHandle, table: String) -> Deferred<RegistrationHandle> {
//!     let uri = format!("com.example.describe.{table}");
//!     let describe = move |_| Reply::now(&table);
//!     session.register(Procedure::function(uri, describe))
//! }
//! ```
//!
//! It comes back with each new connection to another router, as the procedures of the class do. A
//! class with [`Component::REGISTERS_LATER`] lets `extra.procedures` limit what it does not register
//! at its start. [`SessionHandle::replace`] registers a procedure anew without a moment in which there is
//! none.
//!
//! # Reloading
//!
//! What a class reads at its start, it reads again in [`Component::on_reload`]: when the node gets SIGHUP,
//! or when the component asks for it by [`Setup::reload`]. With `--watch` it is asked twice a second whether
//! it should ([`Component::on_watch`]).
//!
//! # Who may subscribe
//!
//! [`SessionHandle::guard_topics`] has the component asked before somebody subscribes: to hold
//! SUBSCRIBED until the component can publish, or to decide by who it is.

#[cfg(not(any(feature = "adbapi", feature = "txpostgres")))]
compile_error!("a node needs a backend for its databases: --features adbapi, txpostgres, or both");

mod aliases;
mod arguments;
mod class;
mod did_you_mean;
mod error;
mod guard;
mod handler;
pub mod hello;
mod invocation;
mod known;
mod pool;
mod realm_handle;
mod registry;
mod reload;
mod reply_stream;
mod session;
mod session_handle;
pub mod sql;
mod subscription;

pub use aliases::{Deferred, Promise, deferred};
pub use class::{Classes, Component, Instance, NamedDatabase, Procedure, Setup};
pub use did_you_mean::did_you_mean;
pub use error::{CONFLICT, Error, ErrorDetails, RAISED, error_reference};
pub use guard::{GuardHandle, SubscribeRequest};
pub use handler::Status;
pub use invocation::{Answer, Caller, Invocation, Later, Reply};
#[cfg(feature = "adbapi")]
pub use pool::OpenFun;
pub use pool::{OnConnect, Pool};
pub use realm_handle::RealmHandle;
pub use registry::{RegistrationHandle, SubscriptionHandle};
pub use reload::ReloadHandle;
pub use reply_stream::{OCTETS_AHEAD, PARTS_AHEAD};
pub use session::Session;
pub use session_handle::{CallResult, SessionHandle};
pub use subscription::{Event, Subscription};
pub use wamp::{CallOptions, MatchPolicy, Pattern, Payload, PublishOptions, SubscribeOptions};

/// The target of its log, for `RUST_LOG`.
const LOG: &str = "wampgres::component";
