//! Holds which ports are taken already, and by whom.

use super::{check, node_with};

#[test]
fn a_port_is_taken_once_for_each_ip_version() {
    let taken = "the port is taken by workers[0].transports[0].endpoint.port: choose another, or an interface for each";
    for (first, second, clash) in [
        ("", r#", "version": 6"#, true),
        ("", r#", "interface": "::""#, true),
        (r#", "version": 4"#, r#", "version": 6"#, false),
        (r#", "version": 4"#, r#", "interface": "::""#, false),
        (
            r#", "interface": "localhost""#,
            r#", "interface": "::1""#,
            true,
        ),
        (
            r#", "interface": "localhost""#,
            r#", "interface": "127.0.0.1""#,
            true,
        ),
        (r#", "version": 6"#, r#", "interface": "0.0.0.0""#, false),
        (
            r#", "interface": "127.0.0.1""#,
            r#", "interface": "::1""#,
            false,
        ),
        ("", r#", "version": 4"#, true),
        ("", r#", "interface": "127.0.0.1""#, true),
        (r#", "version": 6"#, r#", "interface": "::1""#, true),
        // Which version a name stands for, the system says.
        ("", r#", "interface": "db.example""#, true),
        (r#", "version": 6"#, r#", "interface": "db.example""#, true),
        (
            r#", "version": 6"#,
            r#", "interface": "db.example", "version": 4"#,
            false,
        ),
    ] {
        let written = format!(
            r#""transports": [{{"type": "websocket", "endpoint": {{"type": "tcp", "port": 8080{first}}}}}, {{"#
        );
        let other = format!(r#""endpoint": {{"type": "tcp", "port": 8080{second}}},"#);
        let text = node_with(&[
            (r#""endpoint": {"type": "tcp", "port": 8080},"#, &other),
            (r#""transports": [{"#, &written),
        ]);
        let found = match check(&text) {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        };
        assert_eq!(
            found.contains(taken),
            clash,
            "{first} and {second}: {found}"
        );
        assert_eq!(found.is_empty(), !clash, "{first} and {second}: {found}");
    }
}
