//! One address that opens many connections, and nodes that have few file descriptors for them:
//! others are let in and served.

use std::{
    fs::{self, Permissions},
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::mpsc::channel,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::support::{
    http::{Connection, UPGRADE, request},
    node::{Node, config, router},
    wait::{self, PATIENCE},
    websocket::{Client, Echo, hello},
};

const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const BEHAVED: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ECHO: &str = "com.example.echo";

/// A node that may open so many files, and the directory of what starts it.
fn node_with_files(files: u32, limits: Value) -> (TempDir, Node) {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let program = parent.path().join("few_files");
    let text = format!(
        "#!/bin/sh\nulimit -n {files}\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_wampgres")
    );
    fs::write(&program, text).expect("the program is written");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("its mode is set");
    let mut config = config(&[router()]);
    config["limits"] = limits;
    let node = Node::start_program(&program, &config, &[]);
    (parent, node)
}

fn connect_from(source: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let source = SocketAddr::from((source, 0));
    socket.bind(&source.into()).expect("127.0.0.0/8 is here");
    socket.connect(&address.into()).expect("the node listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream
}

/// A session from this address, or the status that the handshake is answered with.
fn join_from(source: Ipv4Addr, address: SocketAddr) -> Result<Client, u16> {
    let mut connection = Connection::over(connect_from(source, address));
    connection.send(request("GET", "/ws", UPGRADE));
    let response = connection.head();
    if response.status != 101 {
        assert_eq!(response.field("retry-after"), Some("10"));
        return Err(response.status);
    }
    let mut client = connection.into_websocket();
    client.send(&hello("realm1"));
    client.welcomed();
    Ok(client)
}

/// Sessions from this address, until one is refused.
fn join_all(source: Ipv4Addr, address: SocketAddr, most: usize) -> Vec<Client> {
    let mut sessions = Vec::new();
    while sessions.len() < most {
        match join_from(source, address) {
            Ok(client) => sessions.push(client),
            Err(status) => {
                assert_eq!(status, 503);
                return sessions;
            }
        }
    }
    panic!("all {most} are let in")
}

fn assert_served(client: &mut Client, n: usize) {
    assert_eq!(client.result_of(ECHO, &json!([n])), json!([n]));
}

#[test]
fn sessions_of_one_address_do_not_keep_others_out_of_a_node_with_256_files() {
    let (_program, mut node) = node_with_files(256, json!({}));
    let address = node.address();
    let _echo = Echo::start(address, ECHO);
    let mut sessions = join_all(ATTACKER, address, 300);
    assert!((50..128).contains(&sessions.len()), "{}", sessions.len());
    for n in 0..20 {
        assert_eq!(join_from(ATTACKER, address).err(), Some(503), "{n}");
        let mut client = join_from(BEHAVED, address).expect("another address is let in");
        assert_served(&mut client, n);
    }
    // Nor do connections that say nothing.
    let silent: Vec<_> = (0..300)
        .map(|_| connect_from(Ipv4Addr::new(127, 0, 0, 3), address))
        .collect();
    let mut client = join_from(BEHAVED, address).expect("another address is let in");
    assert_served(&mut client, 0);
    for (n, session) in sessions.iter_mut().enumerate() {
        assert_served(session, n);
    }
    drop(silent);
    let log = node.log();
    let told: Vec<_> = (log.lines())
        .filter(|line| line.contains("max_connections_per_address") && line.contains("127.0.0.2:"))
        .collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(log.lines().count() < 5, "{log}");
    assert!(!log.contains("could not be accepted"), "{log}");
}

#[test]
fn what_is_written_counts_and_who_leaves_makes_room() {
    let (_program, mut node) = node_with_files(1024, json!({"max_connections": 10}));
    let address = node.address();
    let _echo = Echo::start(address, ECHO);
    let mut own: Vec<_> = (1..=9)
        .map(|n| join_from(Ipv4Addr::new(127, 0, 1, n), address).expect("there is a place"))
        .collect();
    assert_eq!(join_from(ATTACKER, address).err(), Some(503));
    node.wait_for_log("limits.max_connections allows");
    for (n, session) in own.iter_mut().enumerate() {
        assert_served(session, n);
    }
    own.pop().expect("there are nine").leave();
    let mut latecomer = wait::until("a place", || join_from(ATTACKER, address).ok());
    assert_served(&mut latecomer, 0);
    node.signal(Signal::SIGTERM);
    node.wait_for_log("refused=");
}

/// The processor time that the node has had, in clock ticks of 10 ms.
fn ticks(node: &Node) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", node.pid())).expect("proc(5)");
    let (_, fields) = stat.rsplit_once(") ").expect("the name of the program");
    let fields = fields.split(' ').skip(11).take(2);
    fields.map(|n| n.parse::<u64>().expect("a number")).sum()
}

#[test]
fn without_a_file_descriptor_sessions_are_served_and_newcomers_are_answered() {
    let limits = json!({"max_connections": 1000, "max_connections_per_address": 0});
    let (_program, mut node) = node_with_files(80, limits);
    let address = node.address();
    let _echo = Echo::start(address, ECHO);
    let mut sessions = join_all(BEHAVED, address, 80);
    for n in 0..20 {
        let mut refused = Vec::new();
        let read = connect_from(BEHAVED, address).read_to_end(&mut refused);
        let answer = String::from_utf8_lossy(&refused);
        assert!(
            answer.starts_with("HTTP/1.1 503 "),
            "{n}: {read:?} {answer}"
        );
        assert!(answer.contains("no file descriptor"), "{answer}");
    }
    for (n, session) in sessions.iter_mut().enumerate() {
        assert_served(session, n);
    }
    // Nobody comes.
    let before = ticks(&node);
    let (_keep, nothing) = channel::<()>();
    let _ = nothing.recv_timeout(Duration::from_millis(500));
    let busy = ticks(&node) - before;
    assert!(busy < 15, "{busy} ticks of 50");
    let log = node.log();
    assert_eq!(log.matches("could not be accepted").count(), 1, "{log}");
    sessions.pop().expect("there are some").leave();
    let mut latecomer = wait::until("a place", || join_from(BEHAVED, address).ok());
    assert_served(&mut latecomer, 0);
}

#[test]
fn an_answer_that_is_being_sent_is_not_cut_for_a_newcomer() {
    const SIZE: usize = 20_000_000;
    let (_program, node) = node_with_files(1024, json!({"max_connections": 1}));
    let web = node.directory().join("web");
    fs::write(web.join("large.txt"), vec![b'x'; SIZE]).expect("a file");
    let mut download = Connection::over(connect_from(BEHAVED, node.address()));
    download.send(request("GET", "/large.txt", ""));
    assert_eq!(download.head().status, 200);
    assert_eq!(join_from(ATTACKER, node.address()).err(), Some(503));
    download.content(SIZE, |piece| {
        assert!(piece.iter().all(|&byte| byte == b'x'))
    });
    // It is idle now, and gives way.
    let latecomer = wait::until("a place", || join_from(ATTACKER, node.address()).ok());
    download.expect_end();
    latecomer.leave();
}

/// A table of files that the kernel has to enlarge while clients come holds up an I/O thread.
#[test]
fn the_table_of_files_is_as_large_as_the_limit_from_the_start() {
    let (_program, node) = node_with_files(4096, json!({}));
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("proc(5)");
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
    assert_eq!(size.map(str::trim), Some("4096"));
}
