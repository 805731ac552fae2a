//! Owns a session whose server is a script of bytes.

use std::sync::Arc;

use sql::{Error, Job, Password};

use super::{
    super::{Event, Login, Session, SessionOptions, Shared, Work},
    client::{USER, login, query},
};

/// A message of a server.
pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    message.extend_from_slice(body);
    message
}

/// The header of a message that claims a length.
pub(super) fn header(tag: u8, length: u32) -> Vec<u8> {
    let mut header = vec![tag];
    header.extend_from_slice(&length.to_be_bytes());
    header
}

pub(super) fn authentication(method: u32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&method.to_be_bytes(), rest].concat())
}

pub(super) fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// What lets everybody in.
pub(super) fn let_in() -> Vec<u8> {
    let parameter = message(b'S', b"server_version\x0015.4\0");
    let key = message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]);
    [authentication(0, &[]), parameter, key, ready()].concat()
}

/// The answer to a statement with one column of a type, up to its rows.
pub(super) fn described(params: &[u8], oid: u32) -> Vec<u8> {
    let mut column = vec![0, 1, b'a', 0, 0, 0, 0, 0, 0, 0];
    column.extend_from_slice(&oid.to_be_bytes());
    column.extend_from_slice(&[0, 4, 255, 255, 255, 255, 0, 0]);
    let parsed = message(b'1', b"");
    [
        parsed,
        message(b't', params),
        message(b'T', &column),
        message(b'2', b""),
    ]
    .concat()
}

/// A row with one int4.
pub(super) fn row(n: i32) -> Vec<u8> {
    message(b'D', &[&[0, 1, 0, 0, 0, 4], &n.to_be_bytes()[..]].concat())
}

/// The whole answer to `SELECT` of one int4.
pub(super) fn answer(n: i32) -> Vec<u8> {
    let done = message(b'C', b"SELECT 1\0");
    [described(&[0, 0], 23), row(n), done, ready()].concat()
}

pub(super) struct Scripted {
    pub(super) session: Session<u64>,
    pub(super) out: Vec<u8>,
    pub(super) events: Vec<Event<u64>>,
}

impl Scripted {
    pub(super) fn new(login: Login) -> Self {
        let options = SessionOptions { statement_cache: 8 };
        let session = Session::new(login, Arc::new(Shared::default()), options);
        let (out, events) = (Vec::new(), Vec::new());
        let mut new = Self {
            session,
            out,
            events,
        };
        new.session.start(&mut new.out).unwrap();
        new.out.clear();
        new
    }

    /// One with a password that is not logged in.
    pub(super) fn stranger() -> Self {
        let mut login = login(USER);
        login.password = Some(Password::new("hunter2"));
        Self::new(login)
    }

    /// One that is logged in and has sent a job.
    pub(super) fn with_job() -> Self {
        let mut new = Self::new(login(USER));
        new.hear(&let_in()).unwrap();
        let job = Job::new(query("SELECT a"));
        new.session.send(1, Work::Job(job), &mut new.out);
        new.events.clear();
        new
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.session.receive(bytes, &mut self.out, &mut self.events)
    }

    /// The error of a script that has one, at its end or before it.
    pub(super) fn refuse(&mut self, bytes: &[u8]) -> Error {
        match self.hear(bytes) {
            Err(error) => error,
            Ok(()) => panic!("it was taken: {:?}", self.events),
        }
    }
}
