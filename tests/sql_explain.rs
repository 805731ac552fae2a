//! `wampgres explain`: plans of procedures in SQL with the arguments of a call, which change nothing.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    backends::{Backend, on_each_backend},
    cli::{Cli, Outcome},
    node::{HERE, config, container, router},
    postgres::Database,
};

const TABLES: &str = "CREATE TABLE goods (id serial PRIMARY KEY, name text, price numeric);
                      CREATE TABLE orders (id serial PRIMARY KEY, goods int, amount int);
                      INSERT INTO goods (name, price) VALUES ('tea', 3.50), ('pot', 20), ('cup', 5)";

/// A configuration with the procedures of two directories beside this file.
struct Shop {
    directory: TempDir,
    database: Database,
}

impl Shop {
    fn new(name: &str, backend: Backend) -> Self {
        let database = Database::create(name, backend);
        database.client().batch_execute(TABLES).expect("tables");
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("web")).expect("the page's place");
        let shop = Self {
            directory,
            database,
        };
        shop.write_config(shop.database.extra());
        shop
    }

    fn write_config(&self, database: Value) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
        let component = |directory: &str| {
            let extra = json!({
                "database": database, "directory": root.join(directory),
                "prefix": format!("com.{directory}")
            });
            container("sql.Procedures", HERE, extra)
        };
        let config = config(&[router(), component("shop"), component("explained")]);
        fs::write(self.file(), config.to_string()).expect("a configuration");
    }

    fn file(&self) -> String {
        let file = self.directory.path().join("config.json");
        file.to_str().expect("a path").to_owned()
    }

    fn start(&self, args: &[&str]) -> Cli {
        let file = self.file();
        let mut all = vec!["explain", "--config", &file];
        all.extend(args);
        Cli::start(&all)
    }

    fn explain(&self, args: &[&str]) -> Outcome {
        self.start(args).finish()
    }

    fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.database
            .client()
            .query_one(&sql, &[])
            .expect("a row")
            .get(0)
    }
}

on_each_backend!(
    a_plan_has_the_arguments_in_it,
    what_is_analyzed_is_rolled_back,
    what_cannot_be_planned_is_said
);

fn a_plan_has_the_arguments_in_it(backend: Backend) {
    let shop = Shop::new("explained", backend);
    let plan = shop.explain(&["com.shop.goods.cheap", "10", "-k", "n=2"]);
    assert_eq!(plan.code, Some(0), "{plan:?}");
    let text = plan.stdout.join("\n");
    assert!(
        plan.stdout[0].ends_with("shop/goods/cheap.sql:3:1"),
        "{text}"
    );
    for words in [
        "LIMIT 10001",
        "Seq Scan on goods",
        "price < '10'::numeric",
        "(cost=",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    assert!(!text.contains("actual"), "it is not run: {text}");

    let json = shop
        .explain(&[
            "com.shop.goods.cheap",
            "--kwargs",
            "{\"price\": 10}",
            "--json",
        ])
        .value();
    assert_eq!(
        (&json["procedure"], &json["statement"]),
        (&json!("com.shop.goods.cheap"), &json!(1))
    );
    assert_eq!(json["plan"][0]["Plan"]["Node Type"], "Limit");

    let two = shop.explain(&["com.shop.order", "4", "--json"]);
    assert_eq!((two.code, two.stdout.len()), (Some(0), 2), "{two:?}");
    let second: Value = serde_json::from_str(&two.stdout[1]).expect("JSON");
    assert_eq!(second["statement"], 2);
    let two = shop.explain(&["com.shop.order", "4"]).stdout.join("\n");
    assert!(two.contains("-- statement 2 of 2, "), "{two}");
    assert_eq!(shop.count("orders"), 0, "nothing is run");

    let mut of_input = shop.start(&["com.shop.goods.cheap", "--input", "-"]);
    of_input.write("[17]");
    let of_input = of_input.finish().stdout.join("\n");
    assert!(of_input.contains("price < '17'"), "{of_input}");
}

fn what_is_analyzed_is_rolled_back(backend: Backend) {
    let shop = Shop::new("analyzed", backend);
    let add = shop.explain(&["com.shop.goods.add", "jug", "7", "--analyze"]);
    let text = add.stdout.join("\n");
    assert!(
        text.contains("Insert on goods") && text.contains("actual"),
        "{add:?}"
    );
    assert_eq!(shop.count("goods"), 3);
    let order = shop.explain(&["com.shop.order", "1", "--analyze", "--json"]);
    let second: Value = serde_json::from_str(&order.stdout[1]).expect("JSON");
    // The first statement had run.
    let of_orders = second["plan"][0].to_string();
    assert!(of_orders.contains("\"Actual Rows\":1"), "{order:?}");
    assert_eq!(shop.count("orders"), 0);

    // What has no plan is run, so that the plans after it are those of a call.
    let set = shop
        .explain(&["com.explained.set", "1", "--analyze"])
        .stdout
        .join("\n");
    assert!(
        set.contains("PostgreSQL plans nothing for such a statement"),
        "{set}"
    );
    assert!(
        set.contains("Index Scan") || set.contains("Bitmap"),
        "{set}"
    );
    let seen = shop.explain(&["com.explained.set", "1", "--json"]);
    let first: Value = serde_json::from_str(&seen.stdout[0]).expect("JSON");
    assert_eq!(first["plan"], json!(null));
    let read_only = shop.explain(&["com.explained.read", "x", "--analyze"]);
    read_only.assert_fails(3, "read-only transaction");
}

fn what_cannot_be_planned_is_said(backend: Backend) {
    let shop = Shop::new("unexplained", backend);
    let wrong = shop.explain(&["com.shop.goods.cheap"]);
    wrong.assert_fails(
        3,
        "wampgres explain: wamp.error.invalid_argument: argument `price` is missing",
    );
    let none = shop.explain(&["com.shop.goods.dear"]);
    none.assert_fails(
        2,
        "no component of the class sql.Procedures has com.shop.goods.dear",
    );
    shop.database
        .client()
        .batch_execute("DROP TABLE orders")
        .expect("no table");
    let faulty = shop.explain(&["com.shop.order", "1"]);
    faulty.assert_fails(3, "shop/order.sql:6:13: relation \"orders\" does not exist");
    let mut nowhere = shop.database.extra();
    nowhere["port"] = json!(1);
    nowhere["connect_timeout"] = json!(1);
    shop.write_config(nowhere);
    let down = shop.explain(&["com.shop.goods.cheap", "1"]);
    down.assert_fails(1, "wampgres explain: no connection to PostgreSQL");
}
