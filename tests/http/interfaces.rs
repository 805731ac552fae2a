//! Which addresses a listener takes. They are shown by who can connect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::support::{
    http::get,
    node::{Node, config, router},
};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A node of this endpoint, and whether it can be reached in each IP version on its one port.
fn reached(mut endpoint: Value) -> (bool, bool) {
    endpoint["type"] = json!("tcp");
    endpoint["port"] = json!(0);
    let mut worker = router();
    worker["transports"][0]["endpoint"] = endpoint;
    let node = Node::start(&config(&[worker]));
    let port = node.address().port();
    let reaches = |ip| {
        let address = SocketAddr::new(ip, port);
        TcpStream::connect(address).is_ok() && get(address, "/ws").status == 200
    };
    (reaches(V4), reaches(V6))
}

#[test]
fn both_ip_versions_are_listened_on_where_both_are_meant() {
    for (endpoint, expected) in [
        (json!({}), (true, true)),
        (json!({"version": 4}), (true, false)),
        (json!({"version": 6}), (false, true)),
        (json!({"interface": "localhost"}), (true, true)),
        (
            json!({"interface": "localhost", "version": 4}),
            (true, false),
        ),
        (
            json!({"interface": "localhost", "version": 6}),
            (false, true),
        ),
        (json!({"interface": "127.0.0.1"}), (true, false)),
        (json!({"interface": "::1"}), (false, true)),
        (json!({"interface": "0.0.0.0"}), (true, false)),
        (json!({"interface": "::"}), (false, true)),
    ] {
        assert_eq!(reached(endpoint.clone()), expected, "{endpoint}");
    }
}
