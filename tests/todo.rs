//! `examples/todo` in two real Chromium windows that stay in step, as its files describe it. Owns no
//! copy of them: only where the database and the port are is the test's own.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    sql_install::install,
    support::{
        backends::{Backend, on_each_backend},
        browser::Browser,
        node::Node,
        postgres::Database,
        wait,
    },
};

on_each_backend![
    two_windows_stay_in_step,
    two_windows_are_in_step_again_after_the_database_was_lost,
    a_list_is_seen_by_who_has_its_key_alone,
];

const IN_STEP: &str = "document.getElementById('state').dataset.state === 'connected'";
/// What a window shows: each task, and whether it is done.
const TASKS: &str = "[...document.querySelectorAll('li')].map((row) => [
    row.querySelector('span').textContent, row.querySelector('input').checked])";

fn root(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// The database as the example wants it: the node logs in as a user for whom policies hold.
fn database(name: &str, backend: Backend) -> (Database, Value) {
    let database = Database::create(name, backend);
    install(&database);
    let mut sql = database.client();
    let mut extra = database.extra();
    let user = format!("user_of_{}", database.name());
    let password = extra["password"].as_str().expect("a password");
    let create = format!(
        "CREATE ROLE {user} LOGIN PASSWORD '{password}';
         GRANT USAGE ON SCHEMA wampgres TO {user};
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wampgres TO {user};
         GRANT CREATE ON SCHEMA public TO {user};
         SET ROLE {user};"
    );
    let schema = fs::read_to_string(root("examples/todo/schema.sql")).expect("the schema");
    // Twice, for it is run at each start.
    for script in [&create, &schema, &schema] {
        sql.batch_execute(script).expect("the schema is in order");
    }
    extra["user"] = json!(user);
    (database, extra)
}

/// The example's node.
fn start(extra: Value) -> Node {
    let config = fs::read_to_string(root("examples/todo/config.json")).expect("a configuration");
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    config["databases"]["main"] = extra;
    let worker = &mut config["workers"][0];
    worker["components"][0]["extra"]["directory"] = json!(root("examples/todo/sql"));
    let transport = &mut worker["transports"][0];
    transport["endpoint"]["port"] = json!(0);
    transport["paths"]["/"]["directory"] = json!(root("examples/todo/web"));
    let autobahn = "target/test-clients/node_modules/autobahn-browser";
    transport["paths"]["shared"]["directory"] = json!(root(autobahn));
    let mut node = Node::start(&config);
    node.wait_for_log("the topics of the database are live");
    node
}

fn window(url: &str) -> Browser {
    let mut window = Browser::open(url);
    window.wait_for(IN_STEP);
    window
}

/// Two windows with one list.
fn two_windows(node: &Node) -> [Browser; 2] {
    let mut first = window(&format!("http://{}/", node.address()));
    let url = first.evaluate("location.href");
    let second = window(url.as_str().expect("an address"));
    [first, second]
}

fn add(window: &mut Browser, task: &str) {
    window.evaluate(&format!(
        "document.getElementById('task').value = {}",
        json!(task)
    ));
    window.evaluate("document.querySelector('form').requestSubmit()");
}

/// Clicks what this selector finds in the row of the task at this index.
fn click(window: &mut Browser, index: usize, what: &str) {
    window.evaluate(&format!(
        "document.querySelectorAll('li')[{index}].querySelector('{what}').click()"
    ));
}

/// Waits until all windows show this.
fn expect(windows: &mut [Browser], tasks: &Value) {
    for window in windows {
        let mut seen = Value::Null;
        wait::until(&format!("{tasks} in a window"), || {
            seen = window.evaluate(TASKS);
            (seen == *tasks).then_some(())
        });
        assert_eq!(
            window.evaluate("document.getElementById('fault').textContent"),
            ""
        );
    }
}

fn two_windows_stay_in_step(backend: Backend) {
    let (_database, extra) = database("todo_step", backend);
    let node = start(extra);
    let mut windows = two_windows(&node);
    add(&mut windows[0], "buy <b>tea</b>");
    expect(&mut windows, &json!([["buy <b>tea</b>", false]]));
    add(&mut windows[1], "drink it");
    expect(
        &mut windows,
        &json!([["buy <b>tea</b>", false], ["drink it", false]]),
    );
    click(&mut windows[1], 0, "input");
    expect(
        &mut windows,
        &json!([["buy <b>tea</b>", true], ["drink it", false]]),
    );
    let left = windows[0].evaluate("document.getElementById('left').textContent");
    assert_eq!(left, "1 of 2 left.");
    click(&mut windows[0], 0, "button");
    expect(&mut windows, &json!([["drink it", false]]));
}

fn two_windows_are_in_step_again_after_the_database_was_lost(backend: Backend) {
    let (database, extra) = database("todo_lost", backend);
    let node = start(extra);
    let mut windows = two_windows(&node);
    add(&mut windows[0], "first");
    expect(&mut windows, &json!([["first", false]]));
    let (mut sql, mut observer) = (database.client(), database.observe());
    assert!(observer.terminate_backends() > 0);
    // Nobody has called: what the windows show has come by an event that was caught up.
    sql.batch_execute(
        "INSERT INTO tasks (list, task) SELECT list, 'second' FROM tasks; UPDATE tasks SET done = id = 1",
    )
    .expect("a superuser has all lists");
    expect(&mut windows, &json!([["first", true], ["second", false]]));
    click(&mut windows[0], 1, "input");
    expect(&mut windows, &json!([["first", true], ["second", true]]));
}

fn a_list_is_seen_by_who_has_its_key_alone(backend: Backend) {
    let (_database, extra) = database("todo_own", backend);
    let node = start(extra);
    let url = format!("http://{}/", node.address());
    let [mut mine, mut other] = [window(&url), window(&url)];
    add(&mut mine, "a secret");
    mine.wait_for("document.querySelectorAll('li').length === 1");
    add(&mut other, "another");
    other.wait_for("document.querySelectorAll('li').length === 1");
    assert_eq!(other.evaluate(TASKS), json!([["another", false]]));
    assert_eq!(mine.evaluate(TASKS), json!([["a secret", false]]));
    // Its id does not help: the row is not there for the other list.
    other.evaluate("document.querySelector('li').dataset.id = 'mine'; window.answers = []");
    other.evaluate(
        "(() => {
        const connection = new autobahn.Connection({url: `ws://${location.host}/ws`, realm: 'realm1'});
        connection.onopen = async (session) => {
            const list = location.hash.slice(1);
            for (const name of ['tick', 'remove']) {
                const answer = await session.call(`com.example.todo.${name}`, [], {list, id: 1});
                window.answers.push(answer.changed);
            }
            await session.call('com.example.todo.add', ['guessable', 'x']).catch((why) => window.answers.push(why.error));
            await session.call('com.example.events.since', []).catch((why) => window.answers.push(why.error));
        };
        connection.open();
    })()",
    );
    other.wait_for("window.answers.length === 4");
    assert_eq!(
        other.evaluate("window.answers"),
        json!([
            0,
            0,
            "wamp.error.invalid_argument",
            "wamp.error.not_authorized"
        ])
    );
    assert_eq!(mine.evaluate(TASKS), json!([["a secret", false]]));
}
