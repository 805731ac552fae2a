//! Functions of a real PostgreSQL, by both backends: what a call gives them, what their answers are
//! made of.

#![cfg(all(feature = "adbapi", feature = "txpostgres"))]

mod kinds;
mod overloads;
mod transactions;

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use sql::Database;
use wamp::{Payload, Sparse};

use super::super::{
    super::{ErrorDetails, Invocation},
    databases::Databases,
    definitions::Definitions,
    functions::Functions,
    procedure::{Unprepared, tests::end},
    types::tests::{databases, run},
};

/// The functions of these schemas, each of which is made by these statements once, with the rest of the
/// `extra`.
fn functions(db: &Arc<dyn Database>, schemas: &[&str], rest: Value) -> Functions {
    let mut extra = rest;
    extra["schemas"] = json!(schemas);
    extra["prefix"] = json!("com.shop");
    let databases = Arc::new(Databases::only(db.clone()));
    let definitions = Definitions::read(&extra, &databases);
    assert!(definitions.faults.is_empty(), "{:?}", definitions.faults);
    let catalogue = databases.main().catalogue(&definitions.functions.schemas);
    let catalogue = catalogue.wait().unwrap_or_else(|error| panic!("{error}"));
    Functions::new(&catalogue, &definitions.functions, &databases)
}

/// Makes something in the database, once for all tests.
fn make(once: &OnceLock<()>, statements: &[&str]) {
    once.get_or_init(|| {
        let db = databases().next().unwrap();
        for sql in statements {
            run(&*db, sql, Vec::new());
        }
    });
}

fn call(functions: &Functions, name: &str, args: Value, kwargs: Value) -> Result<Value, String> {
    let uri = format!("com.shop.{name}");
    let function = functions.all.get(&uri);
    let function = function.unwrap_or_else(|| panic!("no {uri}: {:?}", functions.faults));
    let answer = end(function.call(&Invocation {
        procedure: function.uri.clone(),
        details: Sparse::default(),
        payload: Payload::from_args_kwargs(&args, &kwargs).unwrap(),
        caller: None,
    }));
    answer.map_err(|error| {
        let payload = error.payload(ErrorDetails::None);
        let (told,) = payload.args::<(String,)>().unwrap();
        format!("{}: {told}", error.uri())
    })
}

/// All faults, those of preparing too.
fn faults(functions: &Functions) -> Vec<String> {
    let mut faults: Vec<_> = functions.faults.iter().map(ToString::to_string).collect();
    for procedure in functions.all.values().flat_map(|of| of.procedures()) {
        let (send, receive) = std::sync::mpsc::channel();
        procedure.prepare(move |result| send.send(result.map(drop)).unwrap());
        match receive.recv().unwrap() {
            Ok(()) => {}
            Err(Unprepared::Faulty(of, _)) => faults.extend(of.iter().map(ToString::to_string)),
            Err(Unprepared::Unavailable(error)) => panic!("{error}"),
        }
    }
    faults
}
