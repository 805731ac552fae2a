//! Owns a blocking connection to a server through its Unix socket, for the few statements that the
//! cluster itself needs: start-up without a password and simple queries, as the manual's
//! "Frontend/Backend Protocol" has them. Knows no particular statement.

#[cfg(test)]
mod tests;

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::{
    backend::{ErrorResponseBody, Message},
    frontend,
};

use super::{Error, tried};

/// How long the server may be silent.
const TIMEOUT: Duration = Duration::from_secs(120);
const TALK: &str = "cannot talk to the embedded PostgreSQL";

/// What PostgreSQL says against a statement or a session.
pub(super) struct Refusal {
    /// Its words, as `psql` shows them.
    pub(super) words: String,
    /// Where it is in the text that was sent: the number of a character, from 1.
    pub(super) position: Option<usize>,
}

fn refusal(body: &ErrorResponseBody) -> io::Result<Refusal> {
    let (mut severity, mut message) = (String::new(), String::new());
    let mut more = String::new();
    let mut position = None;
    let mut fields = body.fields();
    while let Some(field) = fields.next()? {
        let value = String::from_utf8_lossy(field.value_bytes());
        match field.type_() {
            b'S' => severity += &value,
            b'M' => message += &value,
            b'D' => more += &format!("\nDETAIL: {value}"),
            b'H' => more += &format!("\nHINT: {value}"),
            b'P' => position = value.parse().ok(),
            _ => {}
        }
    }
    let words = format!("{severity}: {message}{more}");
    Ok(Refusal { words, position })
}

/// A connection of one user to one database.
pub(super) struct Connection {
    stream: UnixStream,
    received: BytesMut,
}

impl Connection {
    /// Logs in to a database, as a user who needs no password.
    pub(super) fn open(
        socket_directory: &Path,
        port: u16,
        user: &str,
        database: &str,
    ) -> Result<Self, Error> {
        let socket = socket_directory.join(format!(".s.PGSQL.{port}"));
        let connect = || {
            let stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(stream)
        };
        let stream = connect().map_err(tried(TALK))?;
        let mut connection = Self {
            stream,
            received: BytesMut::new(),
        };
        let parameters = [
            ("user", user),
            ("database", database),
            ("application_name", "wampgres embedded"),
            ("client_encoding", "UTF8"),
        ];
        connection.send(|buffer| frontend::startup_message(parameters, buffer))?;
        let opened = connection.read_until_ready()?;
        opened.map_err(|refusal| Error::Sql(refusal.words))?;
        Ok(connection)
    }

    /// Runs one statement, or several that semicolons part. Gives the number of rows that came
    /// back.
    pub(super) fn run(&mut self, sql: &str) -> Result<usize, Error> {
        let outcome = self.try_to_run(sql)?;
        outcome.map_err(|refusal| Error::Sql(refusal.words))
    }

    /// The same, with what PostgreSQL says against it.
    pub(super) fn try_to_run(&mut self, sql: &str) -> Result<Result<usize, Refusal>, Error> {
        self.send(|buffer| frontend::query(sql, buffer))?;
        self.read_until_ready()
    }

    fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), Error> {
        let mut buffer = BytesMut::new();
        write(&mut buffer)
            .and_then(|()| self.stream.write_all(&buffer))
            .map_err(tried(TALK))
    }

    /// Reads to the end of an answer, and past an error in it: the next answer begins after that.
    fn read_until_ready(&mut self) -> Result<Result<usize, Refusal>, Error> {
        let mut rows = 0;
        let mut refused = None;
        loop {
            let message = match (self.read(), refused) {
                (Ok(message), before) => {
                    refused = before;
                    message
                }
                // After an error that ends the session there is no more.
                (Err(_), Some(refusal)) => return Ok(Err(refusal)),
                (Err(error), None) => return Err(tried(TALK)(error)),
            };
            match message {
                Message::ReadyForQuery(_) => return Ok(refused.map_or(Ok(rows), Err)),
                Message::ErrorResponse(body) => {
                    refused = Some(refusal(&body).map_err(tried(TALK))?);
                }
                Message::DataRow(_) => rows += 1,
                Message::AuthenticationOk
                | Message::BackendKeyData(_)
                | Message::CommandComplete(_)
                | Message::EmptyQueryResponse
                | Message::NoticeResponse(_)
                | Message::ParameterStatus(_)
                | Message::RowDescription(_) => {}
                // A request for a password, above all.
                _ => {
                    let error = io::Error::other("it asks for what has no answer here");
                    return Err(tried(TALK)(error));
                }
            }
        }
    }

    fn read(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.received)? {
                return Ok(message);
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.received.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // So that the server need not log an unexpected end of the connection.
        let _ = self.send(|buffer| {
            frontend::terminate(buffer);
            Ok(())
        });
    }
}
