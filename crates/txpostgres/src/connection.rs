//! Owns what a socket of the pool does: TLS first if that is wanted, then it carries bytes between
//! the server and the pool. Must not know what the bytes say but for the request for TLS.

use std::{io, sync::Arc, time::Instant};

use reactor::{Io, Protocol, Tls, TlsError};
use rustls::{ClientConfig, pki_types::ServerName};

use super::pool::{Pool, cancel::CancelLine};

/// The request for TLS: see "SSLRequest" in ["Message
/// Formats"](https://www.postgresql.org/docs/current/protocol-message-formats.html).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// How a connection is encrypted.
#[derive(Clone)]
pub(crate) enum Encryption {
    None,
    /// If the server agrees.
    Asked {
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        /// Whether the connection ends if the server has no TLS.
        is_required: bool,
    },
    /// From the first byte on.
    Direct {
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    },
}

/// Which connection of the pool this is, and how it speaks with the pool.
pub(crate) struct Speaker {
    pub(crate) pool: Arc<Pool>,
    pub(crate) role: Role,
    /// When it is given up unless the pool says otherwise.
    pub(crate) deadline: Instant,
    /// What is wrong, once something is.
    pub(crate) fault: Option<Fault>,
    /// It begins to speak when TLS is complete.
    pub(crate) waits_for_tls: bool,
}

/// What a connection is for.
pub(crate) enum Role {
    /// A session of a shard, under this name.
    Session { shard: usize, key: u64 },
    /// One cancel request.
    Cancel(CancelLine),
}

/// Why a connection came to nothing.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) text: String,
    /// Whether the next way to connect, encrypted or not, may succeed.
    pub(crate) is_of_tls: bool,
}

impl Fault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_of_tls: false,
        }
    }

    pub(crate) fn of_tls(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_of_tls: true,
        }
    }
}

/// The words for an error of the socket or of TLS.
fn fault_of(error: &io::Error) -> Fault {
    let of_tls = (error.get_ref()).and_then(|inner| inner.downcast_ref::<TlsError>());
    match of_tls {
        Some(error) => Fault::of_tls(format!("error performing TLS handshake: {error}")),
        None => Fault::new(format!("error communicating with the server: {error}")),
    }
}

impl<M> Protocol<M> for Speaker {
    fn on_open(&mut self, io: &mut Io<'_>) {
        io.set_nodelay(true);
        io.set_deadline(Some(self.deadline));
        if let Role::Session { shard, key } = self.role {
            self.pool.opened(shard, key, io);
        }
        if !self.waits_for_tls {
            self.begin(None, io);
        }
    }

    fn on_secured(&mut self, certificate: Option<&[u8]>, io: &mut Io<'_>) {
        self.begin(Some(certificate), io);
    }

    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        match self.role {
            Role::Session { shard, key } => self.pool.received(shard, key, bytes, io),
            // The server has nothing to say to a cancel request.
            Role::Cancel(_) => io.abort(),
        }
    }

    fn on_end(&mut self, io: &mut Io<'_>) {
        self.fault
            .get_or_insert_with(|| Fault::new("the server has closed the connection"));
        io.abort();
    }

    fn on_mail(&mut self, _: M, io: &mut Io<'_>) {
        if let Role::Session { shard, key } = self.role {
            self.pool.posted(shard, key, io);
        }
    }

    fn on_deadline(&mut self, io: &mut Io<'_>) {
        match self.role {
            Role::Session { shard, key } => self.pool.overdue(shard, key, io),
            Role::Cancel(_) => io.abort(),
        }
    }

    fn on_error(&mut self, error: &io::Error) {
        self.fault.get_or_insert_with(|| fault_of(error));
    }

    fn on_shutdown(&mut self, io: &mut Io<'_>) {
        match self.role {
            Role::Session { shard, key } => self.pool.retire(shard, key, io),
            Role::Cancel(_) => {}
        }
    }

    fn on_lost(&mut self) {
        let fault = self.fault.take();
        let fault = fault.unwrap_or_else(|| Fault::new("the connection was lost"));
        match &self.role {
            Role::Session { shard, key } => self.pool.lost(*shard, *key, &fault),
            Role::Cancel(line) => self.pool.cancel_sent(line, &fault),
        }
    }
}

impl Speaker {
    /// The channel is as it will be: encrypted, with this certificate, or not.
    fn begin(&mut self, secured: Option<Option<&[u8]>>, io: &mut Io<'_>) {
        match &self.role {
            Role::Session { shard, key } => self.pool.connected(*shard, *key, secured, io),
            Role::Cancel(line) => {
                line.write(io.out());
                // The server closes after it has sent the signal, and that is to be waited for.
            }
        }
    }
}

/// A socket of the pool on its reactor.
pub(crate) struct Wire<M> {
    stage: Stage<M>,
}

enum Stage<M> {
    /// Not opened yet, or TLS was asked for and not answered.
    Plain(Encryption, Speaker),
    /// All bytes are the speaker's.
    Speaking(Speaker),
    Encrypted(Box<Tls<M>>),
    /// Between two others.
    Changing,
}

impl<M: Send + 'static> Wire<M> {
    pub(crate) fn new(encryption: Encryption, speaker: Speaker) -> Self {
        let stage = Stage::Plain(encryption, speaker);
        Self { stage }
    }

    fn protocol(&mut self) -> Option<&mut dyn Protocol<M>> {
        match &mut self.stage {
            Stage::Plain(_, speaker) | Stage::Speaking(speaker) => Some(speaker),
            Stage::Encrypted(tls) => Some(&mut **tls),
            Stage::Changing => None,
        }
    }

    fn call(&mut self, f: impl FnOnce(&mut dyn Protocol<M>)) {
        if let Some(protocol) = self.protocol() {
            f(protocol);
        }
    }

    /// Puts TLS around the rest.
    fn encrypt(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        mut speaker: Speaker,
        io: &mut Io<'_>,
    ) {
        speaker.waits_for_tls = true;
        // Only a configuration that rustls itself refuses has no client.
        match Tls::client(config, name, Box::new(speaker)) {
            Ok(mut tls) => {
                tls.on_open(io);
                self.stage = Stage::Encrypted(Box::new(tls));
            }
            Err(_) => io.abort(),
        }
    }

    /// The server has answered the request for TLS.
    fn answered(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        let Stage::Plain(encryption, mut speaker) =
            std::mem::replace(&mut self.stage, Stage::Changing)
        else {
            return;
        };
        let fault = match (bytes, encryption) {
            ([b'S'], Encryption::Asked { config, name, .. }) => {
                return self.encrypt(config, name, speaker, io);
            }
            // Whoever sits between could have added it (CVE-2021-23222).
            ([b'S', ..], _) => Fault::new("the server sent something unencrypted before TLS"),
            (
                [b'N'],
                Encryption::Asked {
                    is_required: false, ..
                },
            ) => {
                Protocol::<M>::on_open(&mut speaker, io);
                self.stage = Stage::Speaking(speaker);
                return;
            }
            ([b'N', ..], _) => {
                Fault::of_tls("error performing TLS handshake: server does not support TLS")
            }
            // A server that cannot fork says so before it knows of TLS.
            ([b'E', ..], _) => Fault::new(
                "the server refused the connection before encryption: it may be overloaded",
            ),
            _ => Fault::new("the server does not answer as PostgreSQL does"),
        };
        speaker.fault = Some(fault);
        self.stage = Stage::Speaking(speaker);
        io.abort();
    }
}

impl<M: Send + 'static> Protocol<M> for Wire<M> {
    fn on_open(&mut self, io: &mut Io<'_>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Changing);
        let Stage::Plain(encryption, mut speaker) = stage else {
            return;
        };
        match encryption {
            Encryption::None => {
                Protocol::<M>::on_open(&mut speaker, io);
                self.stage = Stage::Speaking(speaker);
            }
            Encryption::Direct { config, name } => self.encrypt(config, name, speaker, io),
            Encryption::Asked { .. } => {
                io.set_nodelay(true);
                io.set_deadline(Some(speaker.deadline));
                io.out().extend_from_slice(&SSL_REQUEST);
                self.stage = Stage::Plain(encryption, speaker);
            }
        }
    }

    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        if matches!(self.stage, Stage::Plain(..)) {
            return self.answered(bytes, io);
        }
        self.call(|protocol| protocol.on_bytes(bytes, io));
    }

    fn on_again(&mut self, io: &mut Io<'_>) {
        self.call(|protocol| protocol.on_again(io));
    }

    fn on_end(&mut self, io: &mut Io<'_>) {
        self.call(|protocol| protocol.on_end(io));
    }

    fn on_mail(&mut self, mail: M, io: &mut Io<'_>) {
        self.call(|protocol| protocol.on_mail(mail, io));
    }

    fn on_deadline(&mut self, io: &mut Io<'_>) {
        self.call(|protocol| protocol.on_deadline(io));
    }

    fn on_flushed(&mut self, io: &mut Io<'_>) {
        self.call(|protocol| protocol.on_flushed(io));
    }

    fn on_error(&mut self, error: &io::Error) {
        self.call(|protocol| protocol.on_error(error));
    }

    fn on_shutdown(&mut self, io: &mut Io<'_>) {
        self.call(|protocol| protocol.on_shutdown(io));
    }

    fn on_lost(&mut self) {
        self.call(|protocol| protocol.on_lost());
    }
}
