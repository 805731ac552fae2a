//! `wampgres.describe` and `wampgres describe`: what there is, for whom, and as TypeScript that the
//! real compiler takes and real AutobahnJS runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{
    backends::{Backend, on_each_backend},
    cli::{Cli, run},
    node::{Node, config, router},
    postgres::Database,
    websocket::Client,
};

const TABLES: &str = "CREATE TABLE goods (id int4 PRIMARY KEY, name text, price numeric);
                      INSERT INTO goods VALUES (1, 'tea', 3.50)";
const DESCRIBE: &str = "wampgres.describe";

fn database(name: &str, backend: Backend) -> Database {
    let database = Database::create(name, backend);
    database.client().batch_execute(TABLES).expect("tables");
    database
}

/// A component with the files of a directory beside this file.
fn component(database: &Database, directory: &str, prefix: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    json!({
        "type": "class", "classname": "sql.Procedures", "realm": "realm1", "role": "backend",
        "extra": {
            "database": database.extra(), "directory": root.join(directory), "prefix": prefix
        }
    })
}

/// A router with a role that registers, and everybody, who may call what these permissions say.
fn router_of(components: &[Value], permissions: Value) -> Value {
    let mut router = router();
    router["realms"][0]["roles"] = json!([
        {"name": "anonymous", "permissions": permissions},
        {"name": "backend", "permissions": [
            {"uri": "", "match": "prefix", "allow": {"register": true}}
        ]}
    ]);
    router["components"] = json!(components);
    router
}

fn may_call(uri: &str, policy: &str) -> Value {
    json!({"uri": uri, "match": policy, "allow": {"call": true}})
}

fn all() -> Value {
    json!([may_call("", "prefix")])
}

fn uris(described: &Value) -> Vec<&str> {
    let described = described.as_array().expect("a list").iter();
    described
        .map(|one| one["procedure"].as_str().expect("a URI"))
        .collect()
}

on_each_backend!(a_procedure_is_described_with_its_types);

fn a_procedure_is_described_with_its_types(backend: Backend) {
    let database = database("described", backend);
    let files = component(&database, "described", "com.shop");
    let node = Node::start(&config(&[router_of(&[files], all())]));
    let mut client = Client::join(node.address());
    let described = client.result_of(DESCRIBE, &json!([]))[0].clone();
    let expected = [
        "com.shop.every",
        "com.shop.numbered",
        "com.shop.two",
        "com.shop.two.delete",
    ];
    assert_eq!(uris(&described), expected);
    assert_every(&described[0]);
    let numbered = &described[1];
    assert_eq!(numbered["parameters"][0]["name"], "$1");
    assert_eq!(numbered["parameters"][1]["default"], 7);
    assert_eq!(numbered["results"][0]["typescript"], "number | null");
    assert_two(&described[2]);
    let delete = &described[3];
    assert_eq!(delete["results"][0]["returns"], "count");
    assert_eq!(delete["parameters"][0]["optional"], true);
    assert!(!described.to_string().contains("the-secret"), "{delete}");

    let table = run(node.address(), "describe", &["com.shop.two"]);
    let lines = [
        "com.shop.two",
        "    n         int4",
        "    word      text    default \"tea\"",
        "    -> first  row     n int4",
        "    -> both   arrays  a int4, b text",
        "",
        "com.shop.two.delete",
        "    password  text   optional",
        "    ->        count",
    ];
    assert_eq!(table.stdout, lines, "{table:?}");
    let json = run(node.address(), "describe", &["--json", "com.shop.n"]);
    assert_eq!(json.value(), *numbered);
}

/// The file with a column of every kind.
fn assert_every(every: &Value) {
    let column = |name: &str, r#type: &str, typescript: &str| json!({"name": name, "type": r#type, "typescript": typescript});
    let description = "Something of every kind,\nwith a comment that ends: */";
    assert_eq!(every["description"], description);
    assert_eq!(every["prepared"], true);
    let kind = json!([{
        "name": "kind", "type": "text", "typescript": "string | null", "optional": false
    }]);
    assert_eq!(every["parameters"], kind);
    assert_eq!(every["results"][0]["returns"], "rows");
    let columns = json!([
        column("big", "int8", "number | string | null"),
        column("exact", "numeric", "string | null"),
        column("of: text", "text", "string | null"),
        column("doc", "json", "unknown"),
        column("list", "int4[]", "Array<number | null> | null"),
        column("at", "timestamptz", "string | null"),
        column("raw", "bytea", "string | null"),
        column("kind", "text", "string | null"),
        column("cash", "money", "string | null"),
    ]);
    assert_eq!(every["results"][0]["columns"], columns);
}

/// The file with two named results.
fn assert_two(two: &Value) {
    assert_eq!(two["parameters"][1]["optional"], true);
    assert_eq!(two["parameters"][1]["default"], "tea");
    let named = |at: usize| {
        let result = &two["results"][at];
        (result["name"].as_str(), result["typescript"].as_str())
    };
    let first = "{ \"n\": number | null } | null";
    assert_eq!(named(0), (Some("first"), Some(first)));
    let both = "Array<[number | null, string | null]>";
    assert_eq!(named(1), (Some("both"), Some(both)));
}

#[test]
fn callers_see_what_they_may_call() {
    let database = database("described_for", Backend::default());
    let goods = component(&database, "shop/goods", "com.shop.goods");
    let others = component(&database, "described", "com.other");
    let permissions = json!([
        may_call(DESCRIBE, "exact"),
        may_call("com.shop.goods.cheap", "exact"),
        may_call("com.other.t", "prefix"),
    ]);
    let router = router_of(&[goods, others], permissions);
    let node = Node::start(&config(&[router]));
    let mut client = Client::join(node.address());
    let mut seen = |args: Value| {
        let described = client.result_of(DESCRIBE, &args)[0].clone();
        uris(&described).join(" ")
    };
    // Those of both components, which have one procedure for it.
    assert_eq!(
        seen(json!([])),
        "com.other.two com.other.two.delete com.shop.goods.cheap"
    );
    assert_eq!(seen(json!(["com.shop."])), "com.shop.goods.cheap");
    assert_eq!(seen(json!(["com.shop.goods.add"])), "");
    let call = client.call(DESCRIBE, &json!([1]));
    client.answer_to(call).error("wamp.error.invalid_argument");
    let none = run(node.address(), "describe", &["org."]);
    assert_eq!(
        none.stdout,
        ["there is no procedure in SQL here that you may call"]
    );
    assert_eq!(
        run(node.address(), "describe", &["--json", "org."]).stdout,
        [""; 0]
    );
}

#[test]
fn who_may_not_ask_is_refused_and_the_procedure_can_have_another_name_or_none() {
    let database = database("described_as", Backend::default());
    let mut files = component(&database, "described", "com.shop");
    let refused = Node::start(&config(&[router_of(
        &[files.clone()],
        json!([may_call("com.", "prefix")]),
    )]));
    let refused = run(refused.address(), "describe", &[]);
    refused.assert_fails(3, "wamp.error.not_authorized");

    files["extra"]["describe"] = json!("com.shop.help");
    let named = Node::start(&config(&[router_of(&[files.clone()], all())]));
    let args = ["--procedure", "com.shop.help", "--json", "com.shop.e"];
    let described = run(named.address(), "describe", &args).value();
    assert_eq!(described["procedure"], "com.shop.every");

    files["extra"]["describe"] = json!(false);
    let none = Node::start(&config(&[router_of(&[files.clone()], all())]));
    let none = run(none.address(), "describe", &[]);
    none.assert_fails(3, "wamp.error.no_such_procedure");

    // A component whose role may not register it serves all the same.
    files["extra"]
        .as_object_mut()
        .expect("an object")
        .remove("describe");
    let mut router = router_of(&[files], all());
    router["realms"][0]["roles"][1]["permissions"][0]["uri"] = json!("com.");
    let mut node = Node::start(&config(&[router]));
    node.wait_for_log("wampgres.describe is not registered");
    let mut client = Client::join(node.address());
    assert_eq!(
        client.result_of("com.shop.numbered", &json!([1])),
        json!([8])
    );
}

#[test]
fn what_cannot_be_prepared_is_described_without_types() {
    let database = database("described_faulty", Backend::default());
    let files = component(&database, "faulty", "com.shop");
    let node = Node::start(&config(&[router_of(&[files], all())]));
    let bad = run(node.address(), "describe", &["--json", "com.shop.bad"]).value();
    assert_eq!(
        (&bad["prepared"], &bad["results"]),
        (&json!(false), &json!([]))
    );
    let table = run(node.address(), "describe", &["com.shop.bad"]);
    assert!(
        table.stdout.join("\n").contains("the node's log says why"),
        "{table:?}"
    );
    // What it lacks is made, and the next to ask is told.
    let alter = "ALTER TABLE goods ADD nam text";
    database.client().batch_execute(alter).expect("a column");
    let good = run(node.address(), "describe", &["--json", "com.shop.bad"]).value();
    assert_eq!(good["prepared"], true);
}

#[test]
fn without_a_node_the_databases_of_a_configuration_are_asked() {
    let database = database("described_offline", Backend::default());
    let files = component(&database, "described", "com.shop");
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("web")).expect("the page's place");
    let file = directory.path().join("config.json");
    let text = config(&[router_of(&[files], all())]).to_string();
    fs::write(&file, text).expect("a configuration");
    let file = file.to_str().expect("a path");
    let args = ["describe", "--database", "--config", file, "--json"];
    let all = Cli::start(&args).finish();
    assert_eq!((all.code, all.stdout.len()), (Some(0), 4), "{all:?}");
    let first: Value = serde_json::from_str(&all.stdout[0]).expect("JSON");
    assert_eq!(
        (&first["procedure"], &first["prepared"]),
        (&json!("com.shop.every"), &json!(true))
    );
    let none = Cli::start(&["describe", "--database", "--config", "/nowhere"]).finish();
    none.assert_fails(2, "/nowhere: ");
}

/// A module that uses all of the shop's procedures as it should.
const USE: &str = r#"
import { procedures } from "./procedures.js";
import type { Procedures } from "./procedures.js";
import autobahn from "autobahn";

const connection = new autobahn.Connection({ url: process.argv[2], realm: "realm1" });
connection.onopen = async (session: autobahn.Session) => {
  const { com } = procedures(session);
  const cheap = await com.shop.goods.cheap({ price: 10, n: 5 }, { timeout: 5000 });
  const name: string | null = cheap[0].name;
  const added: number | null = await com.shop.goods.add({ name: "pot", price: "20.00" });
  const numbered: number | null = await com.described.numbered([1]);
  const two: Procedures["com.described.two"]["result"] = await com.described.two({ n: 1 });
  const first: number | null | undefined = two.first?.n;
  const rows: Array<[number | null, string | null]> = two.both;
  const deleted: number = await com.described.two.delete();
  console.log(JSON.stringify([name, added, numbered, first, rows, deleted]));
  connection.close();
};
connection.open();
"#;

/// Lines that the compiler is to refuse.
const WRONG: [&str; 6] = [
    "com.shop.goods.cheap()",
    "com.shop.goods.cheap({ price: true })",
    "com.shop.goods.cheap({ price: 1, m: 2 })",
    "com.described.numbered([\"1\"])",
    "com.shop.goods.dear({ price: 1 })",
    "com.shop.goods.cheap({ price: 1 }).then((rows) => rows[0].nam)",
];

#[test]
fn typescript_is_what_the_compiler_takes_and_autobahn_runs() {
    let database = database("described_typescript", Backend::default());
    let tables = "CREATE SEQUENCE goods_id START 4 OWNED BY goods.id;
                  ALTER TABLE goods ALTER id SET DEFAULT nextval('goods_id');
                  CREATE TABLE orders (id serial, goods int, amount int)";
    database.client().batch_execute(tables).expect("tables");
    let components = [
        component(&database, "shop", "com.shop"),
        component(&database, "described", "com.described"),
    ];
    let node = Node::start(&config(&[router_of(&components, all())]));
    let module = run(node.address(), "describe", &["--typescript"]);
    assert_eq!(module.code, Some(0), "{module:?}");
    let text = module.stdout.join("\n") + "\n";
    for line in [
        "  /** The goods below a price, cheapest first. */",
        "   * with a comment that ends: * /",
        "          cheap: call(\"com.shop.goods.cheap\"),",
    ] {
        let plain = text.replace("\"cheap\": call", "cheap: call");
        assert!(plain.contains(line), "{line:?} in {text}");
    }
    let project = Project::new(&text);
    project.compile(USE).expect("the compiler takes it");
    let printed = project.run(&node.websocket_url());
    assert_eq!(printed.trim(), r#"["tea",4,8,2,[[1,"tea"]],0]"#);
    let wrong: Vec<_> = WRONG.map(|wrong| format!("void {wrong};")).into();
    let before = USE
        .lines()
        .position(|line| line.contains("connection.close"));
    let before = before.expect("the line is there");
    let refused = project.compile(&USE.replace("  connection.close();", &wrong.join("\n")));
    let refused = refused.expect_err("the compiler refuses them");
    for (index, wrong) in WRONG.iter().enumerate() {
        let place = format!("use.ts({},", before + index + 1);
        assert!(refused.contains(&place), "{wrong}: {refused}");
    }
}

/// A directory with a module, what uses it, and what the compiler makes of them.
struct Project(tempfile::TempDir);

impl Project {
    fn new(module: &str) -> Self {
        let clients = clients();
        // Below it, the compiler and node find what is installed there.
        let directory = tempfile::tempdir_in(&clients).expect("a directory");
        fs::write(directory.path().join("procedures.ts"), module).expect("a module");
        let package = r#"{"type": "module"}"#;
        fs::write(directory.path().join("package.json"), package).expect("a package");
        Self(directory)
    }

    /// What the compiler says against it.
    fn compile(&self, source: &str) -> Result<(), String> {
        fs::write(self.0.path().join("use.ts"), source).expect("a file");
        let mut compiler = Command::new("node");
        compiler
            .arg(clients().join("node_modules/typescript/bin/tsc"))
            .args([
                "--strict",
                "--noUncheckedIndexedAccess",
                "false",
                "--target",
                "es2022",
            ])
            .args([
                "--module",
                "nodenext",
                "--types",
                "autobahn",
                "--noUnusedLocals",
            ])
            .args(["--exactOptionalPropertyTypes", "--erasableSyntaxOnly"])
            .args(["--lib", "es2022,dom", "use.ts", "node.d.ts"])
            .current_dir(self.0.path());
        fs::write(
            self.0.path().join("node.d.ts"),
            "declare const process: { argv: string[] };\n",
        )
        .expect("a file");
        let output = compiler.output().expect("node: scripts/test installs it");
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn run(&self, url: &str) -> String {
        let output = Command::new("node")
            .args(["use.js", url])
            .current_dir(self.0.path())
            .output()
            .expect("node");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn clients() -> PathBuf {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-clients");
    let compiler = clients.join("node_modules/typescript/bin/tsc");
    assert!(
        compiler.exists(),
        "{}: scripts/test installs it",
        compiler.display()
    );
    clients
}
