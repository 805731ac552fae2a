//! Databases that have a name in the configuration: components that share one share its pool.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use wampgres::{
    component::{Answer, Component, Error, Invocation, Pool, Procedure, Reply, Setup},
    sql::{Job, Statement, params},
};

use crate::support::{
    backends::{Backend, on_each_backend},
    in_process::InProcess,
    node::{HERE, Node, config, container, router},
    postgres::{Database, PASSWORD, Postgres},
    wait,
    websocket::{Client, hello},
};

const HELLO: &str = "hello.MyDatabaseComponent";
const CP_MAX: i64 = 2;

/// A configuration of these workers, with a database called `main`.
fn config_with(database: &Database, application: &str, workers: &[Value]) -> Value {
    let mut main = database.extra();
    main["application_name"] = json!(application);
    main["cp_min"] = json!(0);
    main["cp_max"] = json!(CP_MAX);
    main["cp_noisy"] = json!(true);
    let mut config = config(workers);
    config["databases"] = json!({"main": main});
    config
}

/// How many sessions an application has.
fn sessions(client: &mut postgres::Client, application: &str) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    let row = client.query_one(sql, &[&application]);
    row.expect("PostgreSQL answers").get(0)
}

on_each_backend![
    two_components_share_one_pool_and_the_node_closes_it_once,
    a_shared_database_stays_open_for_the_calls_of_all_its_components,
];

fn two_components_share_one_pool_and_the_node_closes_it_once(backend: Backend) {
    let application = &format!("two-components-{backend}");
    let database = Postgres::shared().database().on(backend);
    let mut router = router();
    let mut second = router["realms"][0].clone();
    second["name"] = json!("realm2");
    router["realms"]
        .as_array_mut()
        .expect("realms")
        .push(second);
    let mut workers = [router];
    let extra = json!({"database": "main"});
    workers[0]["components"] = json!([
        {"type": "class", "classname": HELLO, "realm": "realm1", "extra": extra},
        {"type": "class", "classname": HELLO, "realm": "realm2", "extra": extra}
    ]);
    let mut node = Node::start(&config_with(&database, application, &workers));

    let mut clients = ["realm1", "realm2"].map(|realm| {
        let mut client = Client::open(node.address());
        client.send(&hello(realm));
        client.welcomed();
        client
    });
    let mut observer = database.client();
    for _ in 0..20 {
        let calls: Vec<Vec<u64>> = clients
            .iter_mut()
            .map(|client| {
                let call = |_| client.call("com.example.now.v1", &json!([]));
                (0..10).map(call).collect()
            })
            .collect();
        let open = sessions(&mut observer, application);
        assert!(open <= CP_MAX, "{open} sessions");
        for (client, calls) in clients.iter_mut().zip(calls) {
            for _ in calls {
                let now = client.answer().result();
                assert!(now.as_str().is_some_and(|t| t.contains("+00:00")), "{now}");
            }
        }
    }
    let open = sessions(&mut observer, application);
    assert!((1..=CP_MAX).contains(&open), "{open} sessions");

    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().code(), Some(0));
    wait::until("the end of the sessions", || {
        (sessions(&mut observer, application) == 0).then_some(())
    });
    let log = node.log();
    let closed = format!("{backend} closed: main");
    assert_eq!(log.matches(&closed).count(), 1, "{log}");
    let told = format!(
        "main: database {} of testuser at 127.0.0.1:{}, 0 to 2 connections",
        database.name(),
        database.port()
    );
    assert_eq!(log.matches(&told).count(), 1, "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
}

/// Lets PostgreSQL sleep, by a URI that its `extra` names.
struct Sleeper {
    db: Pool,
    uri: String,
}

impl Component for Sleeper {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        let uri = setup.extra["uri"].as_str().unwrap_or_default().to_owned();
        let db = setup.database()?;
        Ok(Self { db, uri })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![Procedure::new(self.uri.as_str(), Self::sleep)]
    }
}

impl Sleeper {
    fn sleep(&self, call: Invocation) -> Answer {
        let (seconds,): (f64,) = call.args()?;
        let statement = Statement::new("SELECT pg_sleep($1)", params![seconds]);
        let slept = self.db.submit(Job::new(statement));
        Reply::later(slept.map(move |_| seconds))
    }
}

fn a_shared_database_stays_open_for_the_calls_of_all_its_components(backend: Backend) {
    let application = &format!("all-components-{backend}");
    let database = Postgres::shared().database().on(backend);
    let other = Node::start(&config(&[router()]));
    let extra = |uri| json!({"uri": uri, "database": "main"});
    let node = InProcess::start_config::<Sleeper>(
        "test.Sleeper",
        &config_with(
            &database,
            application,
            &[
                router(),
                container("test.Sleeper", HERE, extra("com.here.sleep")),
                container(
                    "test.Sleeper",
                    &other.websocket_url(),
                    extra("com.there.sleep"),
                ),
            ],
        ),
    );
    let mut here = Client::join(node.address());
    assert_eq!(here.result_of("com.here.sleep", &json!([0])), json!([0.0]));
    let mut there = Client::join(other.address());
    wait::until("the registration at the other router", || {
        let request = there.call("com.there.sleep", &json!([0]));
        let answer = there.answer_to(request);
        answer.outcome.is_ok().then_some(())
    });

    // Longer than jobs have whose calls are over, shorter than calls have.
    let request = there.call("com.there.sleep", &json!([2]));
    let mut observer = database.client();
    wait::until("the statement", || {
        let sql = "SELECT 1 FROM pg_stat_activity WHERE application_name = $1 \
                   AND state = 'active' AND query LIKE '%pg_sleep%'";
        let rows = observer.query(sql, &[&application]);
        (!rows.expect("PostgreSQL answers").is_empty()).then_some(())
    });
    let took = node.stop();
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(there.expect_result(request), json!(2.0));
    wait::until("the end of the sessions", || {
        (sessions(&mut observer, application) == 0).then_some(())
    });
}
