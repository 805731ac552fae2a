//! Owns a session on a blocking socket, and the PostgreSQL servers of the tests.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    sync::{Arc, OnceLock},
    time::Duration,
};

use pg_cluster::TemporaryCluster;
use sql::{
    ChannelBinding, Error, Job, Results, Statement,
    types::{FromSqlOwned, ToSql},
};

use super::super::{Event, Login, Outcome, Session, SessionOptions, Shared, Work};

pub(super) const USER: &str = "app";

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// A stream of either kind.
pub(super) trait Socket: Read + Write + Send {}
impl<S: Read + Write + Send> Socket for S {}

/// A session, with its socket and what it has told.
pub(super) struct Client {
    pub(super) session: Session<u64>,
    socket: Box<dyn Socket>,
    pub(super) out: Vec<u8>,
    pub(super) events: Vec<Event<u64>>,
    next: u64,
    /// What the server has sent, in its pieces.
    pub(super) heard: Vec<u8>,
}

/// The server that the tests share which leave it alone.
pub(super) fn server() -> &'static TemporaryCluster {
    static SERVER: OnceLock<TemporaryCluster> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = new_server("local all all trust\nhost all all 127.0.0.1/32 trust\n");
        server.start().unwrap();
        server
    })
}

/// A server of one's own, not started yet.
pub(super) fn new_server(rules: &str) -> TemporaryCluster {
    static TEMPLATE: OnceLock<TemporaryCluster> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| TemporaryCluster::create(USER, None).unwrap());
    let server = template.copy().unwrap();
    server
        .set("max_connections = 100\nshared_buffers = 16MB\n")
        .unwrap();
    server.set_access_rules(rules).unwrap();
    server
}

pub(super) fn login(user: &str) -> Login {
    Login {
        user: user.to_owned(),
        database: "postgres".to_owned(),
        password: None,
        application_name: "session tests".to_owned(),
        options: None,
        channel_binding: ChannelBinding::Prefer,
        binding: None,
        is_encrypted: false,
    }
}

pub(super) fn tcp(server: &TemporaryCluster) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

pub(super) fn unix(server: &TemporaryCluster) -> UnixStream {
    let name = format!(".s.PGSQL.{}", server.port());
    let socket = UnixStream::connect(server.socket_directory().join(name)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

impl Client {
    /// A session with the shared server.
    pub(super) fn new() -> Self {
        Self::with(256, Arc::default())
    }

    pub(super) fn with(statement_cache: usize, shared: Arc<Shared>) -> Self {
        let socket = Box::new(unix(server()));
        Self::open(socket, login(USER), statement_cache, shared).unwrap()
    }

    /// A session on a socket, logged in.
    pub(super) fn open(
        socket: Box<dyn Socket>,
        login: Login,
        statement_cache: usize,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let mut client = Self::begin(socket, login, statement_cache, shared)?;
        client.log_in()?;
        Ok(client)
    }

    /// A session that has sent nothing yet but its first message.
    pub(super) fn begin(
        socket: Box<dyn Socket>,
        login: Login,
        statement_cache: usize,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let options = SessionOptions { statement_cache };
        let mut client = Self {
            session: Session::new(login, shared, options),
            socket,
            out: Vec::new(),
            events: Vec::new(),
            next: 0,
            heard: Vec::new(),
        };
        client.session.start(&mut client.out)?;
        Ok(client)
    }

    pub(super) fn log_in(&mut self) -> Result<(), Error> {
        self.until(|event| matches!(event, Event::Ready)).map(drop)
    }

    /// Hands a work in, without writing it.
    pub(super) fn send(&mut self, work: Work) -> u64 {
        self.next += 1;
        self.session.send(self.next, work, &mut self.out);
        self.next
    }

    /// Writes what is to be written and reads once.
    pub(super) fn turn(&mut self) -> Result<(), Error> {
        self.socket.write_all(&self.out).unwrap();
        self.out.clear();
        let mut buffer = [0; 16 << 10];
        let count = loop {
            match self.socket.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.unwrap(),
            }
        };
        assert!(count > 0, "the server has closed the connection");
        self.heard.extend_from_slice(&buffer[..count]);
        self.session
            .receive(&buffer[..count], &mut self.out, &mut self.events)
    }

    /// Goes on until something has happened, and takes it.
    pub(super) fn until(
        &mut self,
        mut is_it: impl FnMut(&Event<u64>) -> bool,
    ) -> Result<Event<u64>, Error> {
        loop {
            if let Some(at) = self.events.iter().position(&mut is_it) {
                return Ok(self.events.remove(at));
            }
            self.turn()?;
        }
    }

    /// Waits for the end of a work.
    pub(super) fn end(&mut self, work: u64) -> Result<Outcome, Error> {
        let is_it = |event: &Event<u64>| matches!(event, Event::Done(done, _) if *done == work);
        match self.until(is_it)? {
            Event::Done(_, outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// Does one work.
    pub(super) fn run(&mut self, work: Work) -> Result<Outcome, Error> {
        let work = self.send(work);
        self.end(work)
    }

    pub(super) fn job(&mut self, job: impl Into<Job>) -> Result<Results, Error> {
        self.run(Work::Job(job.into())).map(results)
    }

    /// The first value of the first row of a statement.
    pub(super) fn value<T: FromSqlOwned>(&mut self, sql: &str) -> T {
        let results = self
            .job(query(sql))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        first(&results)
    }

    /// Runs statements, each on its own.
    pub(super) fn all(&mut self, statements: &[&str]) {
        for sql in statements {
            self.job(query(sql))
                .unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }
}

pub(super) fn results(outcome: Outcome) -> Results {
    match outcome {
        Outcome::Results(results) => results,
        other => panic!("{other:?}"),
    }
}

pub(super) fn query(sql: &str) -> Statement {
    Statement::new(sql.to_owned(), ())
}

pub(super) fn with(sql: &str, values: Vec<Box<dyn ToSql + Sync + Send>>) -> Statement {
    Statement::new(sql.to_owned(), values)
}

pub(super) fn first<T: FromSqlOwned>(results: &Results) -> T {
    let row = results.first.row(0).expect("a row");
    row.get(0).unwrap_or_else(|error| panic!("{error}"))
}
