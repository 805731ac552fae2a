//! Who calls, as SQL learns it: by the class `sql.Procedures`, the real node and raw clients.

mod crowd;
mod dialled;

use serde_json::{Value, json};
use wampgres::component::{
    Component, Error, Procedure, Reply, SessionHandle, Setup, sql::Installation,
};

use crate::support::{
    backends::{Backend, on_each_backend},
    in_process::InProcess,
    node::{HERE, Node, config, container, router},
    postgres::Database,
    round_trips::RoundTrips,
    wait,
    websocket::Client,
};

on_each_backend!(
    each_session_sees_its_own_rows_and_the_staff_all,
    identity_costs_round_trips_that_it_can_do_without,
    pg_stat_activity_shows_whose_call_it_is,
    a_function_before_the_statements_refuses_calls,
);

const CLASS: &str = "sql.Procedures";

/// A database with notes of which each caller sees its own: a role for everybody, and one for the
/// staff. Roles are the cluster's, so their names have the database's in them.
fn database(name: &str, backend: Backend) -> Database {
    let database = Database::create(name, backend);
    let role = |of: &str| format!("{name}_{backend}_{of}");
    let (web, staff) = (role("web"), role("staff"));
    let functions = Installation::Install { watch_ddl: false }.script();
    let script = format!(
        "{functions}
         CREATE ROLE {web}; CREATE ROLE {staff};
         CREATE TABLE notes (owner text DEFAULT wampgres.authid(), note text);
         ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON notes TO {web}
            USING (owner = wampgres.authid()) WITH CHECK (owner = wampgres.authid());
         CREATE POLICY every ON notes FOR SELECT TO {staff} USING (true);
         GRANT SELECT, INSERT ON notes TO {web}; GRANT SELECT ON notes TO {staff};
         ALTER ROLE {web} SET statement_timeout = '25s'"
    );
    database.client().batch_execute(&script).expect("notes");
    database
}

/// The `extra` of its component with more keys.
fn extra(database: &Database, more: Value) -> Value {
    let name = database.name();
    let mut extra = json!({
        "database": database.extra(),
        "roles": {"anonymous": format!("{name}_web"), "staff": format!("{name}_staff")},
        "procedures": {
            "com.notes.mine": {"sql": "SELECT owner, note FROM notes ORDER BY note", "returns": "arrays"},
            "com.notes.add": {"sql": "INSERT INTO notes (note) VALUES (:note)"},
            "com.notes.steal": {"sql": "INSERT INTO notes VALUES ('somebody', 'else')"}
        }
    });
    let keys = more.as_object().expect("an object").clone();
    for (key, value) in keys {
        match (extra[&key].as_object_mut(), value) {
            (Some(known), Value::Object(value)) => known.extend(value),
            (_, value) => extra[key] = value,
        }
    }
    extra
}

fn start(extra: Value) -> Node {
    Node::start(&config(&[router(), container(CLASS, HERE, extra)]))
}

/// A component with a role of its own, which calls what it is asked to.
struct Staff(SessionHandle);

impl Component for Staff {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        Ok(Self(setup.session))
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![Procedure::new("com.staff.call", |this: &Self, call| {
            let (uri,): (String,) = call.args()?;
            let called = this.0.call(uri, ());
            Reply::later(called.and_then(|result| result.value::<Value>()))
        })]
    }
}

fn each_session_sees_its_own_rows_and_the_staff_all(backend: Backend) {
    let database = database("sqlid_rows", backend);
    let mut router = router();
    let staff = json!({
        "name": "staff",
        "permissions": [{
            "uri": "com.", "match": "prefix", "allow": {"call": true, "register": true}
        }]
    });
    router["realms"][0]["roles"]
        .as_array_mut()
        .expect("roles")
        .push(staff);
    router["components"] = json!([
        {"type": "class", "classname": "test.Staff", "realm": "realm1", "role": "staff"}
    ]);
    let workers = [router, container(CLASS, HERE, extra(&database, json!({})))];
    let node = InProcess::start::<Staff>("test.Staff", &workers);
    let mut clients: Vec<_> = (0..3).map(|_| Client::join(node.address())).collect();
    for client in &mut clients {
        let note = format!("of {}", client.session());
        assert_eq!(
            client.result_of("com.notes.add", &json!([note])),
            json!([1])
        );
    }
    for client in &mut clients {
        let session = client.session().to_string();
        let mine = client.result_of("com.notes.mine", &json!([]));
        assert_eq!(mine, json!([[[session, format!("of {session}")]]]));
        let stolen = client.call("com.notes.steal", &json!([]));
        let refused = client.answer_to(stolen).error("wamp.error.not_authorized");
        assert_eq!(refused.details["sqlstate"], "42501");
    }
    let all = clients[0].result_of("com.staff.call", &json!(["com.notes.mine"]));
    assert_eq!(all[0].as_array().expect("rows").len(), 3, "{all}");
}

/// So many calls are counted.
const CALLS: u64 = 20;

fn identity_costs_round_trips_that_it_can_do_without(backend: Backend) {
    let database = Database::create("sqlid_trips", backend);
    let trips = RoundTrips::before(database.port());
    let mut settings = database.extra();
    settings["port"] = json!(trips.port());
    (settings["cp_min"], settings["cp_max"]) = (json!(1), json!(1));
    let sql = "SELECT current_setting('wamp.procedure', true)";
    let node = start(json!({"database": settings, "procedures": {
        "com.with": {"sql": sql, "returns": "value"},
        "com.without": {"sql": sql, "returns": "value", "identity": false}
    }}));
    let mut client = Client::join(node.address());
    let mut count = |uri: &str| {
        // Prepared by then, on the only connection.
        for _ in 0..3 {
            client.result_of(uri, &json!([]));
        }
        let before = trips.count();
        for _ in 0..CALLS {
            client.result_of(uri, &json!([]));
        }
        trips.count() - before
    };
    let of_each = match backend {
        Backend::Adbapi => 3,
        Backend::Txpostgres => 1,
    };
    assert_eq!(count("com.with"), of_each * CALLS);
    assert_eq!(count("com.without"), CALLS);
}

fn pg_stat_activity_shows_whose_call_it_is(backend: Backend) {
    let database = database("sqlid_activity", backend);
    let node = start(extra(
        &database,
        json!({"procedures": {"com.notes.slow": {"sql": "SELECT pg_sleep(600)"}}}),
    ));
    let mut client = Client::join(node.address());
    let request = client.call("com.notes.slow", &json!([]));
    let mut observer = database.client();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
               AND application_name = $1 AND state = 'active'";
    wait::until("the call", || {
        let name = "wampgres realm1 com.notes.slow";
        let row = observer.query_one(sql, &[&name]).expect("the activity");
        (row.get::<_, i64>(0) == 1).then_some(())
    });
    client.cancel(request, Some("kill"));
    client.answer_to(request).error("wamp.error.canceled");
    let row = observer
        .query_one(sql, &[&"wampgres"])
        .expect("the activity");
    assert_eq!(row.get::<_, i64>(0), 0);
}

fn a_function_before_the_statements_refuses_calls(backend: Backend) {
    let database = database("sqlid_before", backend);
    let script = "CREATE TABLE banned (who text);
                  CREATE FUNCTION not_banned() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
                  BEGIN
                    IF EXISTS (SELECT FROM banned WHERE who = wampgres.authid()) THEN
                        RAISE EXCEPTION 'you are banned';
                    END IF;
                  END $$";
    database.client().batch_execute(script).expect("a function");
    let node = start(extra(&database, json!({"before": "not_banned"})));
    let (mut alice, mut mallory) = (Client::join(node.address()), Client::join(node.address()));
    let ban = "INSERT INTO banned VALUES ($1)";
    let who = mallory.session().to_string();
    database.client().execute(ban, &[&who]).expect("a row");
    for _ in 0..3 {
        assert_eq!(
            alice.result_of("com.notes.add", &json!(["hello"])),
            json!([1])
        );
        let refused = mallory.call("com.notes.add", &json!(["hello"]));
        let refused = mallory
            .answer_to(refused)
            .error("wamp.error.not_authorized");
        assert_eq!(refused.message, "ERROR: you are banned (SQLSTATE P0001)");
    }
    let count = database
        .client()
        .query_one("SELECT count(*) FROM notes", &[]);
    assert_eq!(count.expect("a count").get::<_, i64>(0), 3);
}
