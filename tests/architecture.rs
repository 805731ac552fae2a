//! The rules of the house that the compiler cannot check: which crates a crate may depend on, what
//! the pure crates may use of the standard library, and how files begin and how long they are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a crate below `crates/` may depend on. The compiler keeps its code to what its
/// `Cargo.toml` names; this table keeps the `Cargo.toml`.
struct Allowed {
    package: &'static str,
    ours: &'static [&'static str],
    others: &'static [&'static str],
}

/// From what knows nothing to what knows most. The package `wampgres` may use all of them.
const TABLE: &[Allowed] = &[
    Allowed {
        package: "wamp",
        ours: &[],
        others: &["serde", "serde_json", "thiserror"],
    },
    // hashbrown is the standard library's table, with the hash given from outside; serde_json makes
    // the arguments of authorizers and reads their answers.
    Allowed {
        package: "wamp-router",
        ours: &["wamp"],
        others: &["hashbrown", "serde_json"],
    },
    // serde_json reads the text of an error.
    Allowed {
        package: "wamp-client",
        ours: &["wamp"],
        others: &["serde_json"],
    },
    // Its timer is the kernel's, which mio polls and nix sets; rustls is its TLS layer; what many
    // connections send is shared as Bytes; socket2 looks at a socket without reading.
    Allowed {
        package: "reactor",
        ours: &[],
        others: &[
            "bytes",
            "crossbeam-channel",
            "mio",
            "nix",
            "rustls",
            "socket2",
        ],
    },
    Allowed {
        package: "deferred",
        ours: &[],
        others: &[],
    },
    // tracing has the one thing that nobody can be told: a callback's panic. rustls and the crates
    // with its name are TLS, with the system's certificates and what rustls cannot read of one; sha2
    // hashes the certificate that a password is bound to. Rows become structs by serde, with
    // serde_json for what is JSON and chrono for times.
    Allowed {
        package: "sql",
        ours: &["deferred"],
        others: &[
            "chrono",
            "postgres-types",
            "rustls",
            "rustls-native-certs",
            "serde",
            "serde_json",
            "sha2",
            "tracing",
            "x509-cert",
        ],
    },
    // tokio-postgres-rustls has TLS streams for postgres, and rustls their errors; serde has the
    // name of what rows can become.
    Allowed {
        package: "adbapi",
        ours: &["deferred", "sql"],
        others: &[
            "crossbeam-channel",
            "postgres",
            "r2d2",
            "r2d2_postgres",
            "rustls",
            "serde",
            "thiserror",
            "tokio-postgres-rustls",
            "tracing",
        ],
    },
    // postgres-protocol proves passwords (SCRAM, md5); bytes is the buffer that values are
    // converted into; mio and socket2 open sockets.
    Allowed {
        package: "txpostgres",
        ours: &["deferred", "reactor", "sql"],
        others: &[
            "bytes",
            "mio",
            "postgres-protocol",
            "rustls",
            "smallvec",
            "socket2",
            "tracing",
        ],
    },
    Allowed {
        package: "web",
        ours: &[],
        others: &[
            "http",
            "httparse",
            "httpdate",
            "mime_guess",
            "nix",
            "percent-encoding",
            "thiserror",
        ],
    },
    // socket2 sets what std cannot set before listening, and nix has the number of an error; the
    // dialler waits for a random time.
    Allowed {
        package: "wamp-transport",
        ours: &["reactor", "wamp", "wamp-router", "web"],
        others: &[
            "bytes",
            "crossbeam-channel",
            "http",
            "httparse",
            "mio",
            "nix",
            "rand",
            "smallvec",
            "socket2",
            "tracing",
            "tungstenite",
        ],
    },
    Allowed {
        package: "stdio",
        ours: &[],
        others: &["tracing"],
    },
    // Either backend can be left out; times of a database are chrono's. Bytes are base64 in JSON.
    Allowed {
        package: "component",
        ours: &[
            "adbapi",
            "deferred",
            "sql",
            "stdio",
            "txpostgres",
            "wamp",
            "wamp-client",
        ],
        others: &[
            "base64",
            "chrono",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "tracing",
        ],
    },
    // It creates a role with a password and a database: what it says to the server for that is
    // postgres-protocol's, with the buffers and the iterators of bytes and fallible-iterator. socket2
    // binds a port without listening on it.
    Allowed {
        package: "pg-cluster",
        ours: &[],
        others: &[
            "bytes",
            "fallible-iterator",
            "nix",
            "postgres-protocol",
            "rand",
            "socket2",
            "thiserror",
            "tracing",
        ],
    },
    // It is a client of any router, and knows nothing of the node it may be pointed at.
    Allowed {
        package: "wamp-bench",
        ours: &["reactor", "wamp", "wamp-client", "wamp-transport"],
        others: &[
            "hdrhistogram",
            "mio",
            "plotters",
            "rand",
            "serde",
            "serde_json",
            "thiserror",
            "tungstenite",
        ],
    },
];

/// Crates without I/O, threads, clocks, locks, logs and randomness: time and ids are given to them.
const PURE: &[&str] = &["crates/wamp/src", "crates/wamp-router/src"];
/// What betrays one of these in a line of code.
const IMPURE: &[&str] = &[
    "net::",
    "fs::",
    "io::",
    "env::",
    "process::",
    "thread",
    "Mutex",
    "RwLock",
    "Atomic",
    "OnceLock",
    "SystemTime",
    "Instant::now",
    "println!",
];

/// The most lines of a file before its inline tests, and with them.
const MOST_LINES: usize = 600;
const MOST_LINES_WITH_TESTS: usize = 800;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a directory of the project, with their paths from its root.
fn files_below(directory: &str) -> Vec<(String, String)> {
    let mut directories = vec![root().join(directory)];
    let mut files = Vec::new();
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for entry in entries {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("Rust is UTF-8");
                let name = path.strip_prefix(root()).expect("it is below the root");
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

/// The names in the `[dependencies]` of a `Cargo.toml`.
fn dependencies(manifest: &str) -> BTreeSet<&str> {
    let lines = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]");
    (lines.skip(1).take_while(|line| !line.starts_with('[')))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .collect()
}

fn is_test(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs")
}

#[test]
fn crates_depend_on_what_the_table_allows() {
    let mut offences = Vec::new();
    for Allowed {
        package,
        ours,
        others,
    } in TABLE
    {
        let path = root().join("crates").join(package).join("Cargo.toml");
        let manifest = fs::read_to_string(path).expect("the table's packages are there");
        let allowed: BTreeSet<_> = ours.iter().chain(*others).copied().collect();
        // A name that nobody uses any more leaves the table as well.
        for name in dependencies(&manifest).symmetric_difference(&allowed) {
            offences.push(format!(
                "crates/{package}: {name} is in one of Cargo.toml and the table"
            ));
        }
    }
    none(&offences);
}

#[test]
fn a_program_with_txpostgres_alone_has_no_async_runtime() {
    // Of each, whatever its name goes on with.
    const RUNTIMES: [&str; 9] = [
        "actix-rt",
        "async-executor",
        "async-io",
        "async-std",
        "futures-executor",
        "glommio",
        "monoio",
        "smol",
        "tokio",
    ];
    let arguments = "tree --offline --locked --edges normal --prefix none --no-default-features \
                     --features txpostgres";
    let tree = Command::new(env!("CARGO"))
        .args(arguments.split_whitespace())
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{said}");
    let tree = String::from_utf8(tree.stdout).expect("it prints UTF-8");
    let packages: BTreeSet<&str> = tree.lines().filter_map(|l| l.split(' ').next()).collect();
    for ours in ["wampgres", "txpostgres", "reactor"] {
        assert!(packages.contains(ours), "{ours} is missing in {packages:?}");
    }
    let is_one = |package: &str| RUNTIMES.iter().any(|name| package.starts_with(name));
    let found: Vec<_> = packages.iter().filter(|package| is_one(package)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_crate_has_a_row_in_the_table() {
    let there: BTreeSet<_> = fs::read_dir(root().join("crates"))
        .expect("the crates")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    let named: BTreeSet<_> = TABLE.iter().map(|row| row.package.to_owned()).collect();
    assert_eq!(there, named);
}

/// A file up to its inline tests, which are its end.
fn before_tests(text: &str) -> &str {
    let (code, _) = text
        .split_once("\n#[cfg(test)]\nmod tests {")
        .unwrap_or((text, ""));
    code
}

/// The lines of a file's code, numbered, without comments and inline tests.
fn code_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = before_tests(text).lines();
    (1..)
        .zip(lines)
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn what_serves_writes_to_no_standard_stream() {
    // A write to a pipe that nobody reads does not return: the crate stdio waits in their place.
    const STREAMS: [&str; 5] = ["println!", "print!(", "io::stdout", "io::stderr", "dbg!"];
    // An example is a program of its own.
    let may_write = ["src/cli/", "crates/stdio/", "crates/wamp-router/examples/"];
    let mut offences = Vec::new();
    for (file, text) in ["src", "crates"].into_iter().flat_map(files_below) {
        if is_test(&file) || may_write.iter().any(|place| file.starts_with(place)) {
            continue;
        }
        for (number, line) in code_of(&text) {
            let found = STREAMS.iter().filter(|stream| line.contains(**stream));
            offences.extend(found.map(|stream| format!("{file}:{number}: {stream}")));
        }
    }
    none(&offences);
}

#[test]
fn pure_crates_use_nothing_that_waits_or_asks() {
    let mut offences = Vec::new();
    for (file, text) in PURE.iter().copied().flat_map(files_below) {
        if is_test(&file) {
            continue;
        }
        for (number, line) in code_of(&text) {
            let found = IMPURE.iter().filter(|word| line.contains(**word));
            offences.extend(found.map(|word| format!("{file}:{number}: {word} in a pure crate")));
        }
    }
    none(&offences);
}

#[test]
fn the_pools_policy_names_no_database() {
    // It serves any driver, and its tests need no PostgreSQL.
    const WORDS: [&str; 4] = ["postgres::", "Postgres", "connection::", "server::"];
    let mut offences = Vec::new();
    for (file, text) in files_below("crates/adbapi/src/pool") {
        for (number, line) in code_of(&text) {
            let found = WORDS.iter().filter(|word| line.contains(**word));
            offences.extend(found.map(|word| format!("{file}:{number}: {word} in the policy")));
        }
    }
    none(&offences);
}

#[test]
fn files_say_what_they_own_and_are_short() {
    let mut offences = Vec::new();
    for (file, text) in ["src", "crates", "tests", "benches", "examples"]
        .into_iter()
        .flat_map(files_below)
    {
        if !text.starts_with("//! ") {
            offences.push(format!(
                "{file}:1: the first line does not say, after `//! `, what the file owns"
            ));
        }
        let all = text.lines().count();
        let code = before_tests(&text).lines().count();
        if code > MOST_LINES || all > MOST_LINES_WITH_TESTS {
            offences.push(format!(
                "{file}: {all} lines, {code} before its tests: split it along what is owned"
            ));
        }
    }
    none(&offences);
}
