//! The rules: which module may import which other, and which crates. Where the lists are longer
//! than a module's nature asks for, a comment says why.

use super::source::{NamedPath, Source};

/// What a module may import.
pub(super) struct Rule {
    pub(super) module: &'static str,
    /// Modules of ours.
    ours: &'static [&'static str],
    /// Crates of others.
    crates: &'static [&'static str],
    /// What it may use of the standard library: these paths and what is below them.
    std: &'static [&'static str],
}

/// What can neither wait, nor ask for the time, nor talk to anything: no I/O, threads, clocks,
/// locks, environment.
const PURE: &[&str] = &[
    "std::borrow",
    "std::cell",
    "std::cmp",
    "std::collections",
    "std::fmt",
    "std::hash",
    "std::iter",
    "std::marker",
    "std::mem",
    "std::num",
    "std::ops",
    "std::str",
    "std::string",
    "std::sync::Arc",
];
/// The same, and points in time, which are given to it: it has deadlines to keep.
const PURE_IN_TIME: &[&str] = &[
    "std::borrow",
    "std::cell",
    "std::cmp",
    "std::collections",
    "std::fmt",
    "std::hash",
    "std::iter",
    "std::marker",
    "std::mem",
    "std::num",
    "std::ops",
    "std::str",
    "std::string",
    "std::sync::Arc",
    "std::time::Duration",
    "std::time::Instant",
];
const ALL: &[&str] = &["std"];

/// Who may import whom, from what knows nothing to what knows all.
pub(super) const TABLE: &[Rule] = &[
    Rule {
        module: "wamp",
        ours: &[],
        crates: &["serde", "serde_json", "thiserror"],
        std: PURE,
    },
    // Its ids come from a source that is given to it, so not even randomness.
    Rule {
        module: "router",
        ours: &["wamp"],
        crates: &[],
        std: PURE_IN_TIME,
    },
    // Its alarm is a timer of the kernel, which mio polls and nix sets.
    Rule {
        module: "reactor",
        ours: &[],
        crates: &["crossbeam_channel", "mio", "nix"],
        std: ALL,
    },
    // r2d2_postgres is what its own manager is built around; rustls and the three beside it are
    // TLS, its streams for postgres, the system's certificates, and what rustls cannot read.
    Rule {
        module: "adbapi",
        ours: &[],
        crates: &[
            "crossbeam_channel",
            "postgres",
            "r2d2",
            "r2d2_postgres",
            "rustls",
            "rustls_native_certs",
            "thiserror",
            "tokio_postgres_rustls",
            "tracing",
            "x509_cert",
        ],
        std: ALL,
    },
    // Percent codes, the flags of open(2) and error types are nothing to write anew.
    Rule {
        module: "http",
        ours: &[],
        crates: &[
            "http",
            "httparse",
            "httpdate",
            "mime_guess",
            "nix",
            "percent_encoding",
            "thiserror",
        ],
        std: ALL,
    },
    // The reactor's sockets are mio's and http's statuses are those of the crate http; socket2
    // sets what std cannot before listening; the dialler waits on a channel, for a random time.
    Rule {
        module: "transport",
        ours: &["http", "reactor", "router", "wamp"],
        crates: &[
            "crossbeam_channel",
            "http",
            "mio",
            "rand",
            "smallvec",
            "socket2",
            "tracing",
            "tungstenite",
        ],
        std: ALL,
    },
    // Rows and times of the database reach it as types of these crates; arguments are read with
    // serde, and what does not fit is named by its path.
    Rule {
        module: "component",
        ours: &["adbapi", "wamp"],
        crates: &[
            "chrono",
            "postgres",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "tracing",
        ],
        std: ALL,
    },
    Rule {
        module: "config",
        ours: &[],
        crates: &["serde", "serde_json", "thiserror"],
        std: ALL,
    },
    // It creates the role and the database of the configuration, with a password that
    // postgres_protocol encrypts.
    Rule {
        module: "embedded",
        ours: &[],
        crates: &[
            "nix",
            "postgres",
            "postgres_protocol",
            "rand",
            "thiserror",
            "tracing",
        ],
        std: ALL,
    },
    // It translates the configuration's words into those of all others, hence their crates; the
    // router's random ids are drawn here.
    Rule {
        module: "node",
        ours: &[
            "adbapi",
            "component",
            "config",
            "http",
            "reactor",
            "router",
            "transport",
            "wamp",
        ],
        crates: &["mio", "postgres", "rand", "thiserror", "tracing"],
        std: ALL,
    },
    // It is a client of routers on the transport's frames, and knows nothing of the node it may be
    // pointed at.
    Rule {
        module: "bench",
        ours: &["reactor", "transport", "wamp"],
        crates: &[
            "hdrhistogram",
            "httparse",
            "mio",
            "rand",
            "serde",
            "serde_json",
            "thiserror",
            "tungstenite",
        ],
        std: ALL,
    },
    // The limit of open files is raised with nix, a signal reaches its thread by a channel; of the
    // bench's words there are the serializers, and arguments in JSON.
    Rule {
        module: "cli",
        ours: &["bench", "component", "config", "embedded", "node", "wamp"],
        crates: &[
            "clap",
            "crossbeam_channel",
            "ctrlc",
            "nix",
            "serde",
            "serde_json",
            "tracing",
            "tracing_subscriber",
        ],
        std: ALL,
    },
];

/// The most lines of a file without its inline tests, and with them.
const MOST_LINES: usize = 600;
const MOST_LINES_WITH_TESTS: usize = 800;

/// Holds the imports of a file against the table; one line for each offence.
pub(super) fn check_imports(file: &str, source: &Source<'_>) -> Vec<String> {
    let Some(place) = Place::of(file) else {
        return Vec::new();
    };
    let Some(rule) = TABLE.iter().find(|rule| rule.module == place.module) else {
        return vec![format!(
            "{file}:1: there is no rule for the module {}: add one to the table in \
             tests/architecture/rules.rs",
            place.module
        )];
    };
    let mut offences: Vec<_> = source
        .paths()
        .iter()
        .filter_map(|path| rule.offence(path, &place).map(|what| (path.line, what)))
        .map(|(line, what)| format!("{file}:{line}: {what}"))
        .collect();
    // A group names the same module many times.
    offences.dedup();
    offences
}

/// Where a file stands in the tree of modules.
struct Place<'a> {
    module: &'a str,
    /// How many `super` lead from it to the root of the crate.
    depth: usize,
}

impl<'a> Place<'a> {
    /// `None` for tests and for the roots of library and binary.
    fn of(file: &'a str) -> Option<Self> {
        let path = file.strip_prefix("src/")?.strip_suffix(".rs")?;
        let names: Vec<_> = path.split('/').collect();
        if names.contains(&"tests") || matches!(path, "lib" | "main") {
            return None;
        }
        let is_mod = names.last() == Some(&"mod");
        Some(Self {
            module: names.first()?,
            depth: names.len() - usize::from(is_mod),
        })
    }
}

impl Rule {
    fn offence(&self, path: &NamedPath, place: &Place<'_>) -> Option<String> {
        let module = self.module;
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        if let Some(ours) = of_ours(&segments, place) {
            let is_allowed = ours == module || self.ours.contains(&ours) || !is_module(ours);
            return (!is_allowed).then(|| {
                let allowed = list(self.ours);
                format!("{module} uses crate::{ours}; of ours it may use {allowed}")
            });
        }
        let root = segments[0];
        if ["std", "core", "alloc"].contains(&root) {
            let named = segments.join("::").replacen(root, "std", 1);
            let is_allowed = self
                .std
                .iter()
                .any(|allowed| named == *allowed || named.starts_with(&format!("{allowed}::")));
            return (!is_allowed).then(|| {
                let allowed = list(self.std);
                format!("{module} uses {named}; of the standard library it may use {allowed}")
            });
        }
        let is_allowed = self.crates.contains(&root) || !is_crate(root);
        (!is_allowed).then(|| {
            let allowed = list(self.crates);
            format!("{module} uses the crate {root}; it may use {allowed}")
        })
    }
}

/// The module of ours that a path leads to from the root of the crate.
fn of_ours<'p>(segments: &[&'p str], place: &Place<'_>) -> Option<&'p str> {
    let supers = segments.iter().take_while(|s| **s == "super").count();
    match segments[0] {
        "crate" => segments.get(1).copied(),
        "super" if supers == place.depth => segments.get(supers).copied(),
        "super" | "self" | "Self" => Some(""),
        _ => None,
    }
}

fn is_module(name: &str) -> bool {
    TABLE.iter().any(|rule| rule.module == name)
}

/// Whether the name is that of a dependency.
fn is_crate(name: &str) -> bool {
    let manifest = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let mut in_dependencies = false;
    manifest.lines().any(|line| {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        }
        let dependency = line.split([' ', '=', '.']).next().unwrap_or_default();
        in_dependencies && dependency.replace('-', "_") == name
    })
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

/// Looks at a file's first line and its length.
pub(super) fn check_shape(file: &str, source: &Source<'_>) -> Vec<String> {
    let mut offences = Vec::new();
    if !source.first_line().starts_with("//! ") {
        offences.push(format!(
            "{file}:1: the first line does not say, after `//! `, what the file owns"
        ));
    }
    let (lines, without_tests) = (source.lines(), source.lines() - source.test_lines());
    let too_long = [
        (without_tests, MOST_LINES, "without its inline tests"),
        (lines, MOST_LINES_WITH_TESTS, "with its inline tests"),
    ];
    let too_long = too_long.into_iter().find(|(lines, most, _)| lines > most);
    offences.extend(too_long.map(|(lines, most, how)| {
        format!("{file}:{lines}: the file is longer than {most} lines {how}: split it along what is owned")
    }));
    offences
}
