//! Standard output and standard error that nobody reads: no thread that serves waits for them.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    fcntl::OFlag,
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::support::{
    http::{Connection, UPGRADE, get},
    node::{ENVIRONMENT, HERE, config, container, router},
    postgres::Postgres,
    wait::{self, PATIENCE},
    websocket::{Client, Echo, unmasked_frame},
};

/// A named pipe that is read when the test wants it to be.
struct Pipe {
    path: PathBuf,
    reader: File,
}

impl Pipe {
    fn new(directory: &Path) -> Self {
        let path = directory.join("pipe");
        mkfifo(&path, Mode::S_IRWXU).expect("a named pipe");
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let reader = options.open(&path).expect("its reading end");
        Self { path, reader }
    }

    /// An end that waits when the pipe is full, for the node.
    fn writer(&self) -> File {
        let opened = OpenOptions::new().write(true).open(&self.path);
        opened.expect("its writing end")
    }

    /// Fills it, and says how many bytes there was room for.
    fn fill(&self) -> usize {
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let mut writer = options.open(&self.path).expect("its writing end");
        let mut room = 0;
        loop {
            match writer.write(b"x") {
                Ok(n) => room += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return room,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reads on into `text` what is there.
    fn read(&mut self, text: &mut String) {
        let mut bytes = [0; 4096];
        loop {
            match self.reader.read(&mut bytes) {
                Ok(0) => return,
                Ok(n) => text.push_str(&String::from_utf8_lossy(&bytes[..n])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reads on until these words come.
    fn read_until(&mut self, text: &mut String, words: &str) {
        wait::until(words, || {
            self.read(text);
            text.contains(words).then_some(())
        });
    }
}

/// A node with standard output or standard error of the test's own.
struct Node {
    child: Child,
    directory: TempDir,
}

impl Node {
    fn start(workers: &[Value], rust_log: &str, wire: impl FnOnce(&Path, &mut Command)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("web")).expect("a directory for the page");
        fs::write(directory.path().join("web/index.html"), "a page").expect("a page");
        let file = directory.path().join("config.json");
        fs::write(&file, config(workers).to_string()).expect("a configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_wampgres"));
        for name in ENVIRONMENT {
            command.env_remove(name);
        }
        command.args(["start", "--config"]).arg(&file);
        command.env("RUST_LOG", rust_log).stdin(Stdio::null());
        wire(directory.path(), &mut command);
        let child = command.spawn().expect("the node runs");
        Self { child, directory }
    }

    fn stop(mut self) -> Duration {
        let began = Instant::now();
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it is there");
        let status = wait::until("the node's end", || self.child.try_wait().expect("ours"));
        assert_eq!(status.code(), Some(0));
        began.elapsed()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node that logs into a pipe, and its address.
fn start_logging_to_pipe(rust_log: &str) -> (Node, Pipe, SocketAddr) {
    let mut pipe = None;
    let mut node = Node::start(&[router()], rust_log, |directory, command| {
        let log = pipe.insert(Pipe::new(directory)).writer();
        command.stderr(log).stdout(Stdio::piped());
    });
    let mut line = String::new();
    let stdout = node.child.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    (node, pipe.expect("it was made"), address_in(&line))
}

fn address_in(line: &str) -> SocketAddr {
    let address = line.split('/').nth(2).map(str::parse);
    address.expect("page: http://ADDRESS/").expect("an address")
}

/// Upgrades on `/ws` from this address and sends a frame without a mask, which is logged.
fn violate_from(source: [u8; 4], node: SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let source = SocketAddr::from((source, 0));
    socket.bind(&source.into()).expect("all of 127 is ours");
    socket.connect(&node.into()).expect("the node is there");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = format!("GET /ws HTTP/1.1\r\nHost: node\r\n{UPGRADE}\r\n");
    stream.write_all(head.as_bytes()).expect("it takes a head");
    stream
        .write_all(&unmasked_frame(0x81, b"x"))
        .expect("bytes");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("it ends, orderly");
    assert!(said.starts_with(b"HTTP/1.1 101"), "it is upgraded");
}

fn assert_serves(address: SocketAddr) {
    let _echo = Echo::start(address, "com.example.echo");
    let mut client = Client::join(address);
    let args = json!(["still here"]);
    assert_eq!(client.result_of("com.example.echo", &args), args);
    assert_eq!(get(address, "/").text(), "a page");
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let (node, mut pipe, address) = start_logging_to_pipe("info");
    for n in 0..400_u16 {
        let [high, low] = n.to_be_bytes();
        violate_from([127, 0, 1 + high, low], address);
    }
    // A line that does not fit as a whole is not begun.
    assert!(pipe.fill() < 4096, "the pipe is full");
    assert_serves(address);
    // What waited comes, all of it, once it is read.
    let mut log = String::new();
    pipe.read_until(&mut log, "client=127.0.2.143:");
    assert_eq!(log.matches("broke the protocol").count(), 400, "{log}");
    assert!(!log.contains("dropped"), "{log}");

    pipe.fill();
    assert_serves(address);
    let took = node.stop();
    assert!(took < Duration::from_secs(5), "a stop took {took:?}");
}

#[test]
fn what_is_logged_last_is_written_before_the_end() {
    let (node, mut pipe, _) = start_logging_to_pipe("info");
    node.stop();
    let mut log = String::new();
    pipe.read(&mut log);
    assert!(log.trim_end().ends_with("stopped"), "{log}");
}

#[test]
fn lines_that_the_log_has_no_room_for_are_counted() {
    let (node, mut pipe, address) = start_logging_to_pipe("debug");
    // More than the mebibyte that may wait, of requests with long paths.
    let path = "x".repeat(4000);
    let mut connection = Connection::open(address);
    const REQUESTS: usize = 600;
    for n in 0..REQUESTS {
        connection.send(format!("GET /{n}-{path} HTTP/1.1\r\nHost: node\r\n\r\n"));
        assert_eq!(connection.response().status, 404);
    }
    let mut log = String::new();
    pipe.read_until(&mut log, "lines of the log were dropped here");
    pipe.read_until(&mut log, "\n");
    let dropped = log.split_once("dropped=").expect("a count").1;
    let dropped: usize = dropped.split_whitespace().next().unwrap().parse().unwrap();
    let written = log.matches("HTTP request").count();
    assert_eq!(written + dropped, REQUESTS, "{dropped} are told as dropped");
    assert!(log.len() < 1_300_000, "{} bytes waited", log.len());
    // It goes on.
    get(address, "/after");
    pipe.read_until(&mut log, "/after");
    node.stop();
}

#[test]
fn one_address_cannot_fill_the_log_and_what_is_left_out_is_counted() {
    let (node, mut pipe, address) = start_logging_to_pipe("info");
    for _ in 0..200 {
        violate_from([127, 0, 0, 1], address);
    }
    violate_from([127, 0, 0, 2], address);
    let mut log = String::new();
    pipe.read_until(&mut log, "client=127.0.0.2:");
    assert_eq!(log.matches("client=127.0.0.1:").count(), 60, "{log}");
    assert!(log.contains("source=127.0.0.1"), "{log}");
    node.stop();
    pipe.read(&mut log);
    assert!(log.contains("left_out=140"), "{log}");
}

#[test]
fn a_standard_output_that_nobody_reads_stops_no_connection_to_the_database() {
    let database = Postgres::shared().create_database("stdout_unread");
    let extra = json!({"database": database.extra()});
    let component = container("hello.MyDatabaseComponent", HERE, extra);
    let mut pipe = None;
    let node = Node::start(&[router(), component], "info", |directory, command| {
        let made = pipe.insert(Pipe::new(directory));
        command.stdout(made.writer()).stderr(Stdio::null());
    });
    let mut pipe: Pipe = pipe.expect("it was made");
    let mut printed = String::new();
    pipe.read_until(&mut printed, "/ws");
    let at = printed.find("page:").expect("where the page is");
    let address = address_in(&printed[at..]);
    pipe.fill();
    let mut observer = database.observe();
    for _ in 0..3 {
        // Each new connection prints a line.
        let old = observer.backends();
        observer.terminate_backends();
        wait::until("the old connections to be gone", || {
            let backends = observer.backends();
            backends.iter().all(|pid| !old.contains(pid)).then_some(())
        });
        let mut client = Client::join(address);
        // One call may still meet a connection whose loss has not been noticed.
        wait::until("a call to be answered", || {
            let request = client.call("com.example.now.v1", &json!([]));
            client.answer_to(request).outcome.ok()
        });
    }
    assert!(node.directory.path().exists());
    let took = node.stop();
    assert!(took < Duration::from_secs(5), "a stop took {took:?}");
}
