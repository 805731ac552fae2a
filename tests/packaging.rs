//! Whether what people install from is whole: the Dockerfile, the compose file, the Debian package
//! and its unit. Reads and checks them; builds no image and no package.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// What a program prints; it has to succeed and to complain of nothing.
fn output(command: &mut Command) -> String {
    let output = command
        .current_dir(ROOT)
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; scripts/test installs it"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{command:?}: {complaints}"
    );
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

/// The package as Cargo.toml describes it.
fn manifest() -> Value {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version=1"];
    let text = output(Command::new(env!("CARGO")).args(arguments));
    let metadata: Value = serde_json::from_str(&text).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let program = packages
        .iter()
        .find(|package| package["name"] == "wampgres");
    program.expect("the program's package").clone()
}

fn words(value: &Value) -> Vec<&str> {
    let list = value.as_array().expect("a list");
    list.iter().map(|v| v.as_str().expect("a string")).collect()
}

/// The files of the package: where each comes from, and its place.
fn assets(manifest: &Value) -> Vec<(String, String)> {
    let assets = manifest["metadata"]["deb"]["assets"].as_array();
    let assets = assets.expect("assets").iter().map(words);
    assets
        .map(|asset| {
            let (from, to) = (asset[0], asset[1]);
            let name = from.rsplit('/').next().expect("a name");
            let place = if to.ends_with('/') { name } else { "" };
            (from.to_owned(), format!("/{to}{place}"))
        })
        .collect()
}

/// The instructions of the Dockerfile, each with its words.
fn instructions() -> Vec<Vec<String>> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let lines = text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// Whether a file gets into the build, by the order of `.dockerignore`: the last line that fits counts.
fn is_sent_to_docker(path: &str) -> bool {
    let mut sent = true;
    for line in read(".dockerignore").lines() {
        let (pattern, includes) = match line.strip_prefix('!') {
            Some(pattern) => (pattern, true),
            None => (line, false),
        };
        let fits = match pattern.split_once('*') {
            Some((before, after)) => path.starts_with(before) && path.ends_with(after),
            None => path == pattern || path.starts_with(&format!("{pattern}/")),
        };
        if fits {
            sent = includes;
        }
    }
    sent
}

/// What `wampgres check` says of a configuration whose pages are not installed here.
fn check(file: &str) {
    let directory = TempDir::new().expect("a directory");
    let config = directory.path().join("config.json");
    let text = read(file).replace("/usr/share/wampgres/web", &format!("{ROOT}/web"));
    fs::write(&config, text).expect("it is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wampgres"));
    let _ = output(command.args(["check", "--config"]).arg(config));
}

#[test]
fn the_packaged_configurations_are_valid() {
    check("packaging/debian/config.json");
    check("packaging/docker/config.json");
    let debian: Value =
        serde_json::from_str(&read("packaging/debian/config.json")).expect("it is JSON");
    let endpoint = &debian["workers"][0]["transports"][0]["endpoint"];
    assert_eq!(endpoint["interface"], "127.0.0.1", "a safe default");
}

#[test]
fn no_packaged_file_has_a_password() {
    for file in [
        "packaging/debian/config.json",
        "packaging/docker/config.json",
        "packaging/debian/wampgres.service",
    ] {
        assert!(!read(file).to_lowercase().contains("password"), "{file}");
    }
    assert!(read("packaging/debian/environment").contains("#PGPASSWORD=\n"));
}

#[test]
fn the_unit_is_valid() {
    let directory = TempDir::new().expect("a directory");
    let unit = directory.path().join("wampgres.service");
    // systemd looks for the program, which is not installed here.
    let text = read("packaging/debian/wampgres.service");
    let text = text.replace("/usr/bin/wampgres", env!("CARGO_BIN_EXE_wampgres"));
    fs::write(&unit, text).expect("it is written");
    let _ = output(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(unit),
    );
}

#[test]
fn the_package_has_what_its_unit_starts() {
    let manifest = manifest();
    let places: BTreeSet<_> = assets(&manifest).into_iter().map(|(_, to)| to).collect();
    let unit = read("packaging/debian/wampgres.service");
    let named = unit
        .split_whitespace()
        .filter_map(|word| word.find('/').map(|at| &word[at..]))
        .filter(|path| path.starts_with("/usr/bin") || path.starts_with("/etc"));
    let named: Vec<_> = named.collect();
    assert_eq!(named.len(), 3, "the program and its two files: {named:?}");
    for path in named {
        assert!(places.contains(path), "{path} is not in the package");
    }
    for path in words(&manifest["metadata"]["deb"]["conf-files"]) {
        assert!(places.contains(path), "{path} is not in the package");
    }
    for (at, mode) in [("etc/wampgres/environment", "640"), ("usr/bin/", "755")] {
        let assets = manifest["metadata"]["deb"]["assets"].as_array();
        let mut assets = assets.expect("assets").iter();
        assert!(
            assets.any(|a| a[1] == at && a[2] == mode),
            "{at} has {mode}"
        );
    }
}

#[test]
fn the_files_of_the_package_exist() {
    for (from, _) in assets(&manifest()) {
        if from.starts_with("target/") {
            continue;
        }
        let (directory, name) = from.rsplit_once('/').unwrap_or((".", &from));
        let (before, after) = name.split_once('*').unwrap_or((name, ""));
        let entries = fs::read_dir(Path::new(ROOT).join(directory));
        let found = entries.expect("the directory").flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(before) && name.ends_with(after)
        });
        assert!(found, "{from} is not there");
    }
}

#[test]
fn the_dockerfile_copies_what_there_is() {
    let instructions = instructions();
    let mut stages = BTreeSet::new();
    for words in &instructions {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["FROM", _, "AS", name] => {
                stages.insert(*name);
            }
            ["COPY", from, ..] if from.starts_with("--from=") => {
                assert!(stages.contains(&from[7..]), "{words:?}: no such stage");
            }
            ["COPY", sources @ .., _] => {
                for source in sources {
                    assert!(Path::new(ROOT).join(source).exists(), "{source}");
                    assert!(is_sent_to_docker(source), "{source} is ignored");
                }
            }
            [
                "RUN" | "WORKDIR" | "USER" | "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK" | "ENTRYPOINT"
                | "CMD" | "VOLUME",
                _,
                ..,
            ] => {}
            _ => panic!("{words:?} is no instruction that was tried"),
        }
    }
    assert!(!is_sent_to_docker(".git"));
    assert!(!is_sent_to_docker("target/release/wampgres"));
    assert!(!is_sent_to_docker("web/shared/autobahn.min.js"));
}

#[test]
fn versions_agree() {
    let manifest = manifest();
    let rust = manifest["rust_version"].as_str().expect("rust-version");
    let image = format!("FROM rust:{}-slim-bookworm AS build", {
        let parts: Vec<_> = rust.split('.').take(2).collect();
        parts.join(".")
    });
    assert!(read("Dockerfile").contains(&image), "no {image}");
    for words in instructions().iter().filter(|words| words[0] == "FROM") {
        let ours = ["base"].contains(&words[1].as_str());
        assert!(ours || words[1].contains("bookworm"), "{words:?}");
    }
}

#[test]
fn the_compose_file_fits_the_dockerfile() {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
    let file = fs::File::open(Path::new(ROOT).join("compose.yaml")).expect("compose.yaml");
    let text = output(
        Command::new("/usr/bin/python3")
            .args(["-c", script])
            .stdin(file),
    );
    let compose: Value = serde_json::from_str(&text).expect("it is JSON now");
    let node = &compose["services"]["wampgres"];
    let stage = node["build"]["target"].as_str().expect("a target");
    assert!(
        instructions()
            .iter()
            .any(|w| w[0] == "FROM" && w[w.len() - 1] == stage)
    );
    let needs = node["depends_on"].as_object().expect("depends_on");
    for (service, need) in needs {
        assert_eq!(need["condition"], "service_healthy");
        let test = &compose["services"][service]["healthcheck"]["test"];
        assert!(test.is_array(), "{service} has no check");
    }
    // The password comes from outside, and an empty one is refused.
    let password = node["environment"]["PGPASSWORD"]
        .as_str()
        .expect("a password");
    assert!(password.starts_with("${POSTGRES_PASSWORD:?"), "{password}");
    let postgres = &compose["services"]["postgres"];
    assert_eq!(postgres["environment"]["POSTGRES_PASSWORD"], password);
    let config: Value =
        serde_json::from_str(&read("packaging/docker/config.json")).expect("it is JSON");
    let database = &config["workers"][1]["components"][0]["extra"]["database"];
    assert_eq!(postgres["environment"]["POSTGRES_USER"], database["user"]);
    assert_eq!(postgres["environment"]["POSTGRES_DB"], database["database"]);
}
