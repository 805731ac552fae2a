//! Who calls, as PostgreSQL is told it: on a real one, by both backends, as a login that may do
//! nothing but become others.

#![cfg(all(feature = "adbapi", feature = "txpostgres"))]

mod before;
mod installed;
mod roles;
mod telling;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, mpsc},
    thread,
    time::Duration,
};

use pg_cluster::TemporaryCluster;
use serde_json::Value;
use sql::Database;
use wamp::{Identity, Payload, Receipt, RequestId, SessionId, Sparse, TransportKind};

use super::{
    super::{
        super::{
            Error, ErrorDetails, Invocation, Reply,
            invocation::{Callee, Unanswered},
        },
        databases::Databases,
        definitions::Definitions,
        install::Installation,
        procedure::{Procedure, Unprepared},
    },
    *,
};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// What the tests find.
const SCHEMA: &[&str] = &[
    "CREATE ROLE authenticator LOGIN NOINHERIT",
    "CREATE ROLE web",
    "CREATE ROLE clerk",
    "CREATE ROLE stranger",
    "GRANT web, clerk TO authenticator",
    "CREATE SCHEMA shop",
    "GRANT USAGE ON SCHEMA shop TO web, clerk",
    "CREATE TABLE shop.notes (owner text, note text)",
    "INSERT INTO shop.notes VALUES ('alice', 'of alice'), ('bob', 'of bob')",
    "ALTER TABLE shop.notes ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY own ON shop.notes TO web USING (owner = wampgres.authid())",
    "CREATE POLICY every ON shop.notes TO clerk USING (true)",
    "GRANT SELECT, INSERT ON shop.notes TO web, clerk",
];

struct Server {
    cluster: TemporaryCluster,
    /// As the login, by each backend.
    logins: [Arc<dyn Database>; 2],
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let cluster = TemporaryCluster::create("app", None).unwrap();
        cluster.start().unwrap();
        let mut owner = owner(&cluster);
        let functions = Installation::Install { watch_ddl: false }.script();
        owner.batch_execute(&functions).unwrap();
        for sql in SCHEMA {
            owner.batch_execute(sql).unwrap();
        }
        Server {
            logins: [by_adbapi(&cluster), by_txpostgres(&cluster)],
            cluster,
        }
    })
}

fn login(cluster: &TemporaryCluster, user: &str) -> adbapi::postgres::Config {
    let mut config = adbapi::postgres::Config::new();
    config.host_path(cluster.socket_directory());
    config.port(cluster.port()).user(user).dbname("postgres");
    config
}

/// The superuser who has made all.
fn owner(cluster: &TemporaryCluster) -> adbapi::postgres::Client {
    let connected = login(cluster, "app").connect(adbapi::postgres::NoTls);
    connected.unwrap()
}

fn by_adbapi(cluster: &TemporaryCluster) -> Arc<dyn Database> {
    let config = login(cluster, "authenticator");
    let pool = adbapi::ConnectionPool::builder(config).cp_min(1).cp_max(2);
    Arc::new(pool.build().unwrap())
}

/// On an I/O thread that runs as long as the test's process.
fn by_txpostgres(cluster: &TemporaryCluster) -> Arc<dyn Database> {
    let reactor = reactor::Reactor::<()>::new().unwrap();
    let mailbox = reactor.mailbox();
    thread::spawn(move || reactor.run().unwrap());
    let server = sql::Server {
        host: cluster.socket_directory().display().to_string(),
        address: None,
        port: cluster.port(),
    };
    let settings = sql::ConnectionSettings::new(server, "postgres", "authenticator");
    let pool = txpostgres::ConnectionPool::builder(settings)
        .cp_min(1)
        .cp_max(2);
    let reactors = txpostgres::Reactors::new([mailbox], || ());
    Arc::new(pool.build(reactors).unwrap())
}

/// Runs a script as the superuser.
fn own(script: &str) {
    owner(&server().cluster).batch_execute(script).unwrap();
}

/// A component by each backend: its procedures by their URIs.
struct Component {
    databases: Databases,
    procedures: BTreeMap<String, Arc<Procedure>>,
}

fn components(extra: &Value) -> Vec<Component> {
    let component = |db: &Arc<dyn Database>| {
        let roles = RoleTable::of(extra);
        let databases = Databases::of(Callers::new("realm1".into(), roles, db.clone()));
        let definitions = Definitions::read(extra, &databases);
        assert!(definitions.faults.is_empty(), "{:?}", definitions.faults);
        let procedure = |(uri, plan): (String, _)| {
            let procedure = databases.procedure(uri.as_str().into(), plan);
            (uri, procedure)
        };
        let procedures = definitions.plans.into_iter().map(procedure).collect();
        Component {
            databases,
            procedures,
        }
    };
    server().logins.iter().map(component).collect()
}

impl Component {
    fn call(&self, uri: &str, caller: Option<&Identity>) -> Result<Value, Error> {
        let procedure = &self.procedures[uri];
        let answer = procedure.call(&Invocation {
            procedure: procedure.uri.clone(),
            details: Sparse::default(),
            payload: Payload::empty(),
            caller: caller.cloned().map(Arc::new),
        });
        let payload = match answer? {
            Reply::Now(payload) => payload,
            Reply::Later(later) => {
                let (send, receive) = mpsc::channel();
                let invocation = Unanswered {
                    request: RequestId::FIRST,
                    outbound: None,
                };
                later.send_by(Arc::new(Waiting(Mutex::new(send))), invocation);
                receive.recv_timeout(LIMIT).unwrap()?
            }
        };
        Ok(payload.args::<(Value,)>().unwrap().0)
    }

    /// The same, with an error as its caller gets it.
    fn told(&self, uri: &str, caller: Option<&Identity>) -> Result<Value, String> {
        self.call(uri, caller).map_err(|error| {
            let payload = error.payload(ErrorDetails::None);
            let (message,) = payload.args::<(String,)>().unwrap();
            format!("{}: {message}", error.uri())
        })
    }

    /// What preparing all of it finds.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for procedure in self.procedures.values() {
            let (send, receive) = mpsc::channel();
            procedure.prepare(move |result| send.send(result.map(drop)).unwrap());
            match receive.recv_timeout(LIMIT).unwrap() {
                Ok(()) => {}
                Err(Unprepared::Faulty(found, _)) => faults.extend(found),
                Err(Unprepared::Unavailable(error)) => panic!("{error}"),
            }
        }
        faults.extend(self.databases.role_faults());
        faults.iter().map(ToString::to_string).collect()
    }
}

/// Waits for answers.
struct Waiting(Mutex<mpsc::Sender<Result<Payload, Error>>>);

impl Callee for Waiting {
    fn answer_later(&self, _: Unanswered, answer: Result<Payload, Error>) {
        self.0.lock().unwrap().send(answer).unwrap();
    }

    fn send_part(&self, _: RequestId, _: Payload, _: Receipt) {
        unreachable!("no procedure here answers in parts");
    }
}

/// A caller whom a router of this process knows.
fn caller(authid: &str, authrole: &str) -> Identity {
    let session = SessionId::new(4711).unwrap();
    Identity {
        authid: Some(authid.into()),
        ..Identity::anonymous(session, authrole.into(), TransportKind::Memory)
    }
}
