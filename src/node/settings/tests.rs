//! What is written in a configuration is what the modules are told.

use std::path::Path;

use super::*;

/// How connections are made to a component's database with these fields.
fn connection_with(fields: &str) -> ConnectionSettings {
    connection(&database_with(fields))
}

/// A component's database with these fields.
fn database_with(fields: &str) -> Database {
    let text = format!(
        r#"{{"version": 2, "workers": [{{"type": "container", "components": [{{
            "type": "class", "classname": "test.Class", "realm": "realm1",
            "transport": {{"type": "websocket", "url": "ws://router.example/"}},
            "extra": {{"database": {{{fields}}}}}
        }}]}}]}}"#
    );
    let options = config::Options {
        classes: &["test.Class"],
        database_classes: &[],
        environment: &|_| None,
    };
    let mut node = config::check_text(&text, Path::new("/"), &options).unwrap();
    node.databases.remove(0)
}

#[test]
fn connections_leave_files_for_the_rest_of_the_node() {
    let crowded = database_with(r#""user": "u", "cp_min": 60, "cp_max": 60"#);
    for (files, databases, most) in [
        (256, &[][..], 184),
        // One address has half of them, and 5,000 clients of one machine are let in.
        (20_000, &[], 17_460),
        (1 << 20, &[], 917_464),
        // What is left is not enough for the databases themselves.
        (128, std::slice::from_ref(&crowded), 32),
        (1024, std::slice::from_ref(&crowded), 556),
        (2, &[], 1),
    ] {
        assert_eq!(most_connections(files, 1, databases), most, "{files}");
    }
}

#[test]
fn the_head_of_a_request_has_a_limit_whatever_is_written_for_handshakes() {
    let head_timeout = |transport: &str| {
        let text = format!(
            r#"{{"version": 2, "workers": [{{"type": "router",
                "realms": [{{"name": "realm1", "roles": [{{"name": "anonymous"}}]}}],
                "transports": [{{"endpoint": {{"type": "tcp", "port": 0}}, {transport}}}]
            }}]}}"#
        );
        let options = config::Options {
            classes: &[],
            database_classes: &[],
            environment: &|_| None,
        };
        let node = config::check_text(&text, Path::new("/"), &options).unwrap();
        let service = web_service(&node.routers[0].transports[0]).unwrap();
        service.head_timeout.as_millis()
    };
    for (milliseconds, alone, beside_files) in [
        (0, 10_000, 10_000),
        (200, 200, 10_000),
        (20_000, 20_000, 20_000),
    ] {
        let options = format!(r#""options": {{"open_handshake_timeout": {milliseconds}}}"#);
        let websocket = format!(r#""type": "websocket", {options}"#);
        assert_eq!(head_timeout(&websocket), alone, "{milliseconds}");
        let web = format!(
            r#""type": "web", "paths": {{
                "/": {{"type": "static", "directory": "."}}, "ws": {{{websocket}}}
            }}"#
        );
        assert_eq!(head_timeout(&web), beside_files, "{milliseconds}");
    }
}

#[test]
fn what_is_written_of_tcp_is_what_a_backend_is_told() {
    let tcp = |fields| {
        let settings = connection_with(fields);
        let keepalives = settings.keepalives;
        (
            keepalives.map(|probes| (probes.idle, probes.interval, probes.count)),
            settings.tcp_user_timeout,
        )
    };
    let seconds = Duration::from_secs;
    let default = Some((seconds(30), seconds(10), 3));
    assert_eq!(tcp(""), (default, Some(seconds(30))));
    let written = r#""keepalives_idle": 60, "keepalives_interval": 5, "keepalives_count": 2,
        "tcp_user_timeout": 20"#;
    let set = Some((seconds(60), seconds(5), 2));
    assert_eq!(tcp(written), (set, Some(seconds(20))));
    let off = r#""keepalives": false, "tcp_user_timeout": 0"#;
    assert_eq!(tcp(off), (None, None));
}

#[test]
fn an_empty_password_is_none() {
    let password = |fields| connection_with(fields).password;
    assert_eq!(
        password(r#""password": "hunter2""#),
        Some(Password::new("hunter2"))
    );
    assert_eq!(password(r#""password": """#), None);
}
