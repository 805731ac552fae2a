//! The component class `sql.Procedures`: files of SQL, SQL in the configuration, and functions of
//! schemas, as procedures. Owns who asks for them to be read again. Must not know how a procedure runs.

use serde_json::Value;
use sql::{ListenEvent, Listener};
use wamp::Uri;

use super::{
    super::{Component, Error, Procedure, RealmHandle, ReloadHandle, Setup},
    databases::Databases,
    descriptions::{DESCRIBE, describe_at},
    identity::RoleTable,
    reloading::Reloading,
    topics::{self, Topics},
    watching::Watching,
};

/// What the configuration calls the class.
pub const CLASSNAME: &str = "sql.Procedures";

/// The channel on which it is told to reload, where nothing else is said.
const CHANNEL: &str = "wampgres";
/// What is told there.
const RELOAD: &str = "reload";

/// Procedures that are written in SQL.
pub(crate) struct Procedures {
    reloading: Reloading,
    topics: Topics,
    watching: Watching,
    _listener: Option<Listener>,
}

impl Component for Procedures {
    const NEEDS_DATABASE: bool = true;

    /// Reads all files, and lets PostgreSQL begin to describe the statements. A database that is
    /// down is asked when the procedure is called.
    fn on_join(setup: Setup) -> Result<Self, Error> {
        let Setup {
            session,
            reload,
            databases,
            realm,
            realm_handle,
            ..
        } = setup.clone();
        let extra = setup.extra.clone();
        let roles = RoleTable::of(&extra);
        let databases = Databases::new(realm, roles, setup.database()?, databases);
        let databases = databases.with_replica(extra["replica"].as_str());
        let db = databases.main().db().clone();
        let channel = extra["reload_channel"].as_str().unwrap_or(CHANNEL);
        let listener = match channel {
            "" => None,
            channel => Some(db.listen(channel, on_event(channel, reload.clone()))?),
        };
        let topics = topics::Settings::of(&extra);
        let watching = Watching::new(&extra, db.clone(), reload.clone());
        let describe = describe_of(&extra, &realm_handle);
        let reloading = Reloading::start(extra, databases, session.clone(), reload)?;
        if let Some(describe) = describe {
            describe_at(describe, reloading.list(), &session, &realm_handle);
        }
        Ok(Self {
            topics: Topics::start(&topics, &db, &session)?,
            reloading,
            watching,
            _listener: listener,
        })
    }

    /// Those in SQL come by the session's handle, by which they can go and become others.
    fn procedures(&self) -> Vec<Procedure<Self>> {
        self.topics.procedure().into_iter().collect()
    }

    fn on_ready(&self) {
        self.topics.joined();
    }

    fn on_reload(&self) {
        self.reloading.reload();
    }

    fn on_watch(&self) {
        self.watching.look();
    }

    fn on_leave(&self) {
        self.reloading.stop();
        self.topics.close();
    }
}

/// The procedure that is to describe the others. Another router may have it from another node, so there
/// it has to be asked for.
fn describe_of(extra: &Value, realm: &RealmHandle) -> Option<Uri> {
    match &extra["describe"] {
        Value::String(uri) => Some(uri.as_str().into()),
        Value::Null => realm.is_here().then(|| DESCRIBE.into()),
        _ => None,
    }
}

/// Asks for a reload when somebody notifies it, or may have while nobody listened.
fn on_event(channel: &str, reload: ReloadHandle) -> sql::OnListenEvent {
    let channel = channel.to_owned();
    Box::new(move |event| match event {
        ListenEvent::Notified(notified) if &*notified.payload == RELOAD => reload.request(),
        ListenEvent::Listening { after_gap: true } => reload.request(),
        ListenEvent::Listening { after_gap: false } => {
            tracing::info!(target: crate::LOG, "NOTIFY {channel}, '{RELOAD}' reloads the procedures in SQL");
        }
        // The pool tells of a loss, and of the next try.
        ListenEvent::Notified(_) | ListenEvent::Lost(_) => {}
    })
}
