//! The rules of the house that a text can be held against: who may import whom, how long a file
//! may be, how it begins.

mod rules;
mod source;

use std::path::{Path, PathBuf};

use self::{
    rules::{TABLE, check_imports, check_shape},
    source::Source,
};

/// All Rust files below a directory of the project, with their paths from its root.
fn files_below(directory: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut directories = vec![root.join(directory)];
    let mut files = Vec::new();
    while let Some(directory) = directories.pop() {
        let entries = std::fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for entry in entries {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("Rust is UTF-8");
                let name = path.strip_prefix(root).expect("it is below the root");
                files.push((name.display().to_string(), text));
            }
        }
    }
    files.sort();
    files
}

fn none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn modules_import_what_the_table_allows() {
    let files = files_below("src");
    assert!(files.len() > 50, "the sources are found");
    let offences: Vec<_> = files
        .iter()
        .flat_map(|(file, text)| check_imports(file, &Source::new(text)))
        .collect();
    none(&offences);
}

#[test]
fn the_router_is_told_the_time_and_never_asks() {
    let asks = |(file, text): &(String, String)| {
        let mut code = text.lines().filter(|line| !line.trim().starts_with("//"));
        !file.contains("/tests/") && code.any(|line| line.contains("Instant::now"))
    };
    let offences: Vec<_> = files_below("src/router").into_iter().filter(asks).collect();
    none(
        &offences
            .into_iter()
            .map(|(file, _)| file)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn what_serves_writes_to_no_standard_stream() {
    // A write to a pipe that nobody reads does not return: crate::stdio waits in their place.
    const STREAMS: [&str; 5] = ["println!", "print!(", "io::stdout", "io::stderr", "dbg!"];
    let may_write = ["src/cli/", "src/stdio.rs"];
    let offences: Vec<_> = files_below("src")
        .into_iter()
        .filter(|(file, _)| !file.contains("/tests/"))
        .filter(|(file, _)| !may_write.iter().any(|place| file.starts_with(place)))
        .flat_map(|(file, text)| {
            let code = |line: &&str| !line.trim().starts_with("//");
            let writes = |line: &&str| STREAMS.iter().any(|stream| line.contains(stream));
            let lines: Vec<_> = text.lines().filter(code).filter(writes).collect();
            lines
                .iter()
                .map(|line| format!("{file}: {line}"))
                .collect::<Vec<_>>()
        })
        .collect();
    none(&offences);
}

#[test]
fn the_table_has_the_modules_there_are() {
    for rule in TABLE {
        let prefix = format!("src/{}", rule.module);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(&prefix);
        let exists = root.is_dir() || root.with_extension("rs").is_file();
        assert!(
            exists,
            "the table has a rule for {prefix}, which is not there"
        );
    }
}

#[test]
fn files_say_what_they_own_and_are_short() {
    let files = ["src", "tests"].into_iter().flat_map(files_below);
    let offences: Vec<_> = files
        .flat_map(|(file, text)| check_shape(&file, &Source::new(&text)))
        .collect();
    none(&offences);
}

#[test]
fn what_the_table_forbids_is_found_with_file_line_and_rule() {
    let offences = |file: &str, text: &str| check_imports(file, &Source::new(text));
    let found = [
        // Plain, in a group, renamed, in the middle of code, by a way around.
        (
            "src/wamp/a.rs",
            "\nuse crate::router::Router;",
            2,
            "crate::router",
        ),
        (
            "src/wamp/a.rs",
            "use crate::{\n    wamp::Uri,\n    router::{Router},\n};",
            3,
            "crate::router",
        ),
        (
            "src/wamp/mod.rs",
            "use super::router::Router;",
            1,
            "crate::router",
        ),
        (
            "src/wamp/a/b.rs",
            "use super::super::super::router;",
            1,
            "crate::router",
        ),
        (
            "src/router/a.rs",
            "fn f() {\n  crate::transport::bind()\n}",
            2,
            "crate::transport",
        ),
        (
            "src/router/a.rs",
            "use std::{fmt, time::SystemTime};",
            1,
            "std::time",
        ),
        ("src/router/a.rs", "use std::time;", 1, "std::time"),
        (
            "src/router/a.rs",
            "use std::sync::{Arc, Mutex};",
            1,
            "std::sync::Mutex",
        ),
        ("src/router/a.rs", "use std::sync::*;", 1, "std::sync"),
        ("src/router/a.rs", "use std as s;", 1, "std"),
        (
            "src/router/a.rs",
            "fn f() { std::thread::yield_now() }",
            1,
            "std::thread",
        ),
        (
            "src/wamp/a.rs",
            "fn f() { ::std::net::TcpStream::connect(a) }",
            1,
            "std::net",
        ),
        (
            "src/router/a.rs",
            "fn f() {\n\n tracing::info!(\"x\") }",
            3,
            "tracing",
        ),
        ("src/router/a.rs", "use rand::random as r;", 1, "rand"),
        ("src/wamp/a.rs", "use rand;", 1, "rand"),
        ("src/wamp/a.rs", "extern crate rand;", 1, "rand"),
        (
            "src/reactor/a.rs",
            "use crate::http::Body;",
            1,
            "crate::http",
        ),
        ("src/adbapi/a.rs", "use serde_json::Value;", 1, "serde_json"),
        (
            "src/http/a.rs",
            "type A = crate::wamp::Uri;",
            1,
            "crate::wamp",
        ),
        (
            "src/transport/a.rs",
            "use {crate::adbapi::Error, mio::Token};",
            1,
            "crate::adbapi",
        ),
        (
            "src/component/a.rs",
            "#[cfg(test)]\nmod tests {}\nuse mio::Poll;",
            3,
            "mio",
        ),
        ("src/newcomer/a.rs", "", 1, "no rule"),
    ];
    for (file, text, line, what) in found {
        let offences = offences(file, text);
        assert_eq!(offences.len(), 1, "{text}: {offences:?}");
        let place = format!("{file}:{line}: ");
        assert!(offences[0].starts_with(&place), "{place} in {offences:?}");
        assert!(offences[0].contains(what), "{what} in {offences:?}");
    }
}

#[test]
fn what_the_table_allows_or_no_compiler_reads_is_passed_over() {
    let text = r##"//! use crate::transport::bind;
use std::{collections::HashMap, fmt, sync::Arc};
use crate::wamp::{Uri, error_uri};
use super::session::Session;
// use std::time::Instant;
/* use std::net::TcpStream; /* nested */ use rand::random; */
/// [`crate::transport::bind`], as in `std::thread::spawn`.
fn f<'a>(x: &'a str) -> char {
    let _ = "use std::time::Instant; \" tracing::info!()";
    let _ = r#"crate::transport::bind() " rand::random()"#;
    let _ = b"std::net::TcpStream";
    let session = self::session::rand();
    session.rand::<u8>();
    if x.is_empty() { return '"'; }
    '\''
}
#[cfg(test)]
mod tests {
    use std::time::Instant;
    fn g() { let _ = crate::transport::bind("}"); }
}
"##;
    none(&check_imports("src/router/a.rs", &Source::new(text)));
    // The tests of a module may use what they like.
    for file in ["src/router/tests/a.rs", "src/router/a/tests.rs"] {
        none(&check_imports(
            file,
            &Source::new("use std::time::Instant;"),
        ));
    }
}

#[test]
fn the_shape_of_a_file_is_checked() {
    let lines = |n: usize| format!("//! Owns.\n{}", "fn f() {}\n".repeat(n - 1));
    let tests = |n: usize| format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(n - 3));
    for (text, place) in [
        (String::from("use std::fmt;\n"), "a.rs:1: "),
        (String::from("\n//! Owns.\n"), "a.rs:1: "),
        (String::new(), "a.rs:1: "),
        (lines(601), "a.rs:601: "),
        (lines(600) + &tests(201), "a.rs:801: "),
        (lines(601) + &tests(10), "a.rs:601: "),
    ] {
        let offences = check_shape("src/router/a.rs", &Source::new(&text));
        assert_eq!(offences.len(), 1, "{place}: {offences:?}");
        assert!(offences[0].contains(place), "{place} in {offences:?}");
    }
    none(&check_shape("src/router/a.rs", &Source::new(&lines(600))));
    let full = lines(600) + &tests(200);
    none(&check_shape("src/router/a.rs", &Source::new(&full)));
}
