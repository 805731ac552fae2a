//! TLS as a layer around any protocol. Owns the TLS session of one connection; must not know what
//! the protocol says, nor where certificates and keys come from.

mod error;

use std::{
    io::{self, BufRead, Write},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, pki_types};

use super::{
    Io, Protocol,
    connection::{Ending, Requested},
    output::Output,
};

pub use error::TlsError;

/// So much ciphertext may wait for the kernel before no more plaintext is encrypted. Plaintext
/// beyond it waits in the protocol's output, where [`Io::unsent`] counts it.
const MAX_CIPHERTEXT: usize = 64 * 1024;
/// The most plaintext of one record (RFC 8446, 5.1).
const MAX_RECORD: usize = 16 * 1024;
/// So many records are given to the protocol in one call, so that many small ones do not keep other
/// connections waiting. A read has room for few large ones.
const RECORDS_AT_ONCE: usize = 8;
/// The other end has so long for the whole handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// A protocol with TLS around it.
///
/// The protocol is told the same as without TLS: its bytes are plaintext, its end is the other
/// end's `close_notify`, and [`Io::close`] sends one. It is opened before the handshake; what it
/// sends by then waits for the handshake. A fault of TLS comes to [`Protocol::on_error`] with a
/// [`TlsError`] inside, and the loss of the connection follows. A connection that ends without
/// `close_notify` is such a fault ([`TlsError::Truncated`]).
///
/// A protocol that begins in plain text makes its `Tls` when that is over, calls
/// [`on_open`](Protocol::on_open), then hands on every call, first
/// [`on_bytes`](Protocol::on_bytes) with the bytes that it has read past its plain text.
pub struct Tls<M> {
    session: rustls::Connection,
    protocol: Box<dyn Protocol<M>>,
    /// Plaintext not encrypted yet.
    output: Output,
    /// What the protocol asked for.
    requested: Requested,
    /// Ciphertext that came when the protocol wanted no input. Nothing is read meanwhile.
    held: Vec<u8>,
    /// The protocol has had its records of this iteration; more may be there.
    has_more: bool,
    /// Set until the handshake is complete.
    handshake_deadline: Option<Instant>,
    /// The protocol knows that the handshake is complete.
    is_secured: bool,
    /// Bytes have come.
    has_begun: bool,
    /// The protocol knows that the other end sends no more.
    has_told_end: bool,
    /// The session has failed or has sent its last; the protocol gets one more call, its last.
    is_over: bool,
}

impl<M> Tls<M> {
    /// The server's end.
    ///
    /// # Errors
    /// When `config` cannot be used.
    pub fn server(
        config: Arc<ServerConfig>,
        protocol: Box<dyn Protocol<M>>,
    ) -> Result<Self, TlsError> {
        Ok(Self::new(ServerConnection::new(config)?.into(), protocol))
    }

    /// The client's end. The server has to show a certificate for `server_name`.
    ///
    /// # Errors
    /// When `config` cannot be used.
    pub fn client(
        config: Arc<ClientConfig>,
        server_name: pki_types::ServerName<'static>,
        protocol: Box<dyn Protocol<M>>,
    ) -> Result<Self, TlsError> {
        let session = ClientConnection::new(config, server_name)?;
        Ok(Self::new(session.into(), protocol))
    }

    fn new(mut session: rustls::Connection, protocol: Box<dyn Protocol<M>>) -> Self {
        session.set_buffer_limit(Some(MAX_CIPHERTEXT));
        Self {
            session,
            protocol,
            output: Output::default(),
            requested: Requested::default(),
            held: Vec::new(),
            has_more: false,
            handshake_deadline: None,
            is_secured: false,
            has_begun: false,
            has_told_end: false,
            is_over: false,
        }
    }

    fn call(&mut self, io: &Io<'_>, f: impl FnOnce(&mut dyn Protocol<M>, &mut Io<'_>)) {
        let mut inner = Io {
            id: io.id,
            now: io.now,
            socket: io.socket,
            unsent_below: io.unsent(),
            is_blocked: io.is_blocked,
            output: &mut self.output,
            requested: &mut self.requested,
        };
        f(self.protocol.as_mut(), &mut inner);
    }

    /// Calls the protocol and does what it asked for.
    fn call_and_act(&mut self, io: &mut Io<'_>, f: impl FnOnce(&mut dyn Protocol<M>, &mut Io<'_>)) {
        if !self.is_over {
            self.call(io, f);
            self.act(io);
        }
    }

    /// Does what the protocol asked for in its last call.
    fn act(&mut self, io: &mut Io<'_>) {
        let held = mem::take(&mut self.held);
        self.receive(&held, io);
        if self.is_over {
            return;
        }
        self.send(io);
        if !self.session.is_handshaking() {
            self.handshake_deadline = None;
        }
        match self.requested.ending {
            Ending::Now => return io.abort(),
            Ending::WhenFlushed if self.output.unsent() == 0 => return self.close(io),
            Ending::WhenFlushed | Ending::None => {}
        }
        if self.requested.call_again || self.has_more {
            io.call_again();
        }
        if self.requested.take_retry_output() {
            io.retry_output();
        }
        io.pause_reading(!self.wants_input());
        let deadlines = [self.handshake_deadline, self.requested.deadline];
        io.set_deadline(deadlines.into_iter().flatten().min());
    }

    /// Whether ciphertext is wanted. The protocol decides after the handshake. The handshake itself
    /// always goes on, because the protocol's output waits for it.
    fn wants_input(&self) -> bool {
        self.session.is_handshaking() || self.requested.wants_input()
    }

    /// Decrypts, and gives the protocol what it wants. Holds back what it does not want now.
    fn receive(&mut self, mut bytes: &[u8], io: &mut Io<'_>) {
        let mut records = RECORDS_AT_ONCE;
        while self.deliver(&mut records, io) && !bytes.is_empty() {
            if !mem::replace(&mut self.has_begun, true) && !begins_tls(bytes[0]) {
                return self.fail(TlsError::PlainText, io);
            }
            match self.session.read_tls(&mut bytes) {
                // What comes after close_notify is ignored (RFC 8446, 6.1).
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    return self.fail(rustls::Error::General(error.to_string()).into(), io);
                }
            }
            if let Err(error) = self.session.process_new_packets() {
                return self.fail(error.into(), io);
            }
        }
        if self.requested.ending == Ending::None {
            self.held.extend_from_slice(bytes);
        }
    }

    /// Tells the protocol once that the handshake is complete.
    fn tell_secured(&mut self, io: &Io<'_>) {
        if self.session.is_handshaking() || mem::replace(&mut self.is_secured, true) {
            return;
        }
        let mut inner = Io {
            id: io.id,
            now: io.now,
            socket: io.socket,
            unsent_below: io.unsent(),
            is_blocked: io.is_blocked,
            output: &mut self.output,
            requested: &mut self.requested,
        };
        let shown = self.session.peer_certificates().and_then(<[_]>::first);
        self.protocol
            .on_secured(shown.map(|certificate| certificate.as_ref()), &mut inner);
    }

    /// Gives the protocol what is decrypted, as far as it wants it. Whether more is wanted.
    fn deliver(&mut self, records: &mut usize, io: &Io<'_>) -> bool {
        self.tell_secured(io);
        while self.requested.wants_input() {
            self.has_more |= *records == 0;
            if self.has_more {
                return false;
            }
            let mut inner = Io {
                id: io.id,
                now: io.now,
                socket: io.socket,
                unsent_below: io.unsent(),
                is_blocked: io.is_blocked,
                output: &mut self.output,
                requested: &mut self.requested,
            };
            let mut plaintext = self.session.reader();
            let taken = match plaintext.fill_buf() {
                // The other end's close_notify has come.
                Ok([]) => {
                    if !mem::replace(&mut self.has_told_end, true) {
                        self.protocol.on_end(&mut inner);
                    }
                    return true;
                }
                Ok(bytes) => {
                    *records -= 1;
                    self.protocol.on_bytes(bytes, &mut inner);
                    bytes.len()
                }
                // There is nothing; no other error is possible before the socket's end.
                Err(_) => return true,
            };
            plaintext.consume(taken);
        }
        self.session.is_handshaking()
    }

    /// Encrypts the protocol's output while little ciphertext waits, and appends all ciphertext to
    /// the connection's output.
    fn send(&mut self, io: &mut Io<'_>) {
        self.append_ciphertext(io);
        while !self.session.is_handshaking() && io.unsent() < MAX_CIPHERTEXT {
            let pending = self.output.pending();
            if pending.is_empty() {
                break;
            }
            let record = &pending[..pending.len().min(MAX_RECORD)];
            // Only a session that has failed refuses it, and that is over by then.
            let Ok(n) = self.session.writer().write(record) else {
                break;
            };
            self.output.advance(n);
            self.append_ciphertext(io);
        }
        self.output.trim();
    }

    fn append_ciphertext(&mut self, io: &mut Io<'_>) {
        while self.session.wants_write() {
            // A Vec takes everything.
            let _ = self.session.write_tls(io.out());
        }
    }

    /// Ends the session, whose output is encrypted, and the connection.
    fn close(&mut self, io: &mut Io<'_>) {
        self.is_over = true;
        self.session.send_close_notify();
        self.append_ciphertext(io);
        io.close();
    }

    /// Tells the other end by an alert, and the protocol by its error.
    fn fail(&mut self, error: TlsError, io: &mut Io<'_>) {
        self.is_over = true;
        self.append_ciphertext(io);
        self.protocol.on_error(&error.into());
        io.close();
    }
}

/// Whether a record of a handshake or an alert begins like this (RFC 8446, 5.1).
fn begins_tls(first_byte: u8) -> bool {
    matches!(first_byte, 21 | 22)
}

impl<M> Protocol<M> for Tls<M> {
    fn on_open(&mut self, io: &mut Io<'_>) {
        self.handshake_deadline = Some(io.now + HANDSHAKE_TIMEOUT);
        self.call_and_act(io, |protocol, io| protocol.on_open(io));
    }

    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        if !self.is_over {
            self.receive(bytes, io);
        }
        if !self.is_over {
            self.act(io);
        }
    }

    fn on_again(&mut self, io: &mut Io<'_>) {
        if self.is_over {
            return;
        }
        self.has_more = false;
        if self.requested.take_call_again() {
            self.call(io, |protocol, io| protocol.on_again(io));
        }
        self.act(io);
    }

    fn on_end(&mut self, io: &mut Io<'_>) {
        if self.is_over || self.has_told_end {
            // The protocol may still send what it has.
        } else if self.session.is_handshaking() {
            self.fail(TlsError::EndedInHandshake, io);
        } else {
            self.fail(TlsError::Truncated, io);
        }
    }

    fn on_mail(&mut self, mail: M, io: &mut Io<'_>) {
        self.call_and_act(io, |protocol, io| protocol.on_mail(mail, io));
    }

    fn on_deadline(&mut self, io: &mut Io<'_>) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= io.now);
        if self.is_over {
            // The connection has a deadline of its own for its last output.
        } else if is_due(self.handshake_deadline) {
            self.fail(TlsError::HandshakeTimeout, io);
        } else if !is_due(self.requested.deadline) {
            self.act(io);
        } else if self.requested.ending == Ending::None {
            self.requested.deadline = None;
            self.call_and_act(io, |protocol, io| protocol.on_deadline(io));
        } else {
            io.abort();
        }
    }

    fn on_flushed(&mut self, io: &mut Io<'_>) {
        if self.is_over {
            return;
        }
        self.send(io);
        if !self.session.is_handshaking() {
            self.call(io, |protocol, io| protocol.on_flushed(io));
        }
        self.act(io);
    }

    fn on_error(&mut self, error: &io::Error) {
        if !self.is_over {
            self.protocol.on_error(error);
        }
    }

    fn on_shutdown(&mut self, io: &mut Io<'_>) {
        self.call_and_act(io, |protocol, io| protocol.on_shutdown(io));
    }

    fn on_lost(&mut self) {
        self.protocol.on_lost();
    }
}

#[cfg(test)]
mod tests;
