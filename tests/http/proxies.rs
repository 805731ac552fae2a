//! Behind nginx: handshakes that it spoils, and redirects below a prefix of its own.

use std::{
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use wampgres::pg_cluster::ReservedPort;

use super::node_with_files;
use crate::support::{
    http::{UPGRADE, exchange, get, get_with, request},
    port, wait,
};

struct Nginx {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
    _port: ReservedPort,
}

impl Nginx {
    /// A proxy of one process in front of a node: `/app/` passes WebSockets on, `/old/` speaks
    /// HTTP/1.0 to it, and `/bare/` forgets the fields that upgrade.
    fn start(node: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = port::reserved();
        let address = SocketAddr::from(([127, 0, 0, 1], port.number()));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};"))
            .concat();
        let configuration = format!(
            "daemon off; master_process off; pid pid; error_log stderr;
            events {{ worker_connections 64; }}
            http {{
                access_log off; {temporary}
                server {{
                    listen {address};
                    location /app/ {{
                        proxy_pass http://{node}/; proxy_http_version 1.1;
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_set_header Connection \"upgrade\";
                    }}
                    location /old/ {{
                        proxy_pass http://{node}/; proxy_http_version 1.0;
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_set_header Connection \"upgrade\";
                    }}
                    location /older/ {{ proxy_pass http://{node}/; proxy_http_version 1.0; }}
                    location /bare/ {{ proxy_pass http://{node}/; proxy_http_version 1.1; }}
                }}
            }}"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).expect("the configuration is written");
        let child = Command::new("/usr/sbin/nginx")
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx is missing: scripts/test installs it");
        let nginx = Self {
            child,
            address,
            _directory: directory,
            _port: port,
        };
        wait::until("nginx to listen", || TcpStream::connect(address).ok());
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_handshake_that_a_proxy_spoils_is_told_what_to_set() {
    let mut node = node_with_files(&[]);
    let nginx = Nginx::start(node.address());
    for (path, what) in [
        ("/old/ws", "HTTP/1.0"),
        ("/older/ws", "HTTP/1.0"),
        ("/bare/ws", "Upgrade: websocket"),
    ] {
        let refused = get_with(nginx.address, path, UPGRADE);
        assert_eq!(refused.status, 426, "{path}");
        for words in [what, "proxy_http_version 1.1", "proxy_set_header Upgrade"] {
            let text = refused.text().replace("&quot;", "\"");
            assert!(text.contains(words), "{path}: {words} in {text}");
        }
    }
    let handshake = request("GET", "/app/ws", UPGRADE);
    let mut connection = crate::support::http::Connection::open(nginx.address);
    connection.send(handshake);
    assert_eq!(connection.head().status, 101);
    // A browser that looks at the page still sees it, through any of them.
    for path in ["/old/ws", "/bare/ws", "/app/ws"] {
        assert_eq!(get(nginx.address, path).status, 200, "{path}");
    }
    node.wait_for_log("proxy_http_version 1.1");
    let warnings = node.log().matches("refusing a WebSocket").count();
    assert_eq!(warnings, 1, "{}", node.log());
}

#[test]
fn a_redirect_stays_below_the_prefix_of_a_proxy() {
    let node = node_with_files(&[("sub/index.html", "sub")]);
    let nginx = Nginx::start(node.address());
    let redirect = exchange(nginx.address, request("GET", "/app/sub?q=1", ""));
    assert_eq!(redirect.status, 301);
    assert_eq!(redirect.field("location"), Some("./sub/?q=1"));
    // What a browser makes of it, with /app/sub as its base.
    assert_eq!(get(nginx.address, "/app/sub/?q=1").text(), "sub");
}
