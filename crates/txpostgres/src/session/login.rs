//! Owns how a session begins: who logs in, and how that is proven to the server and the server
//! proven to know the password. Must not know what comes after.

use postgres_protocol::authentication::{
    md5_hash,
    sasl::{self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
};
use sql::{ChannelBinding, Password};

use super::{
    body::Body,
    encode,
    report::{Error, Fault, violation},
};

/// Who logs in, and what the session begins with.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// The role.
    pub(crate) user: String,
    /// The database.
    pub(crate) database: String,
    /// The password, if there is one.
    pub(crate) password: Option<Password>,
    /// What PostgreSQL calls the session; may be empty.
    pub(crate) application_name: String,
    /// Command line options for the session.
    pub(crate) options: Option<String>,
    /// Whether a password must be bound to the channel.
    pub(crate) channel_binding: ChannelBinding,
    /// The hash of the server's certificate (`tls-server-end-point`), where the channel is TLS and
    /// the certificate has one.
    pub(crate) binding: Option<Vec<u8>>,
    /// Whether the channel is TLS.
    pub(crate) is_encrypted: bool,
}

/// A log-in that is under way.
pub(super) struct LoggingIn {
    login: Login,
    stage: Stage,
    messages: u32,
}

enum Stage {
    /// Nothing is proven yet.
    Begun,
    /// A password or its hash was sent.
    Told,
    /// SCRAM waits for the server's challenge.
    Challenge(Box<ScramSha256>),
    /// SCRAM waits for the server's own proof.
    Proof(Box<ScramSha256>),
    /// The server knows the password too.
    Proven,
    In,
}

/// A server sends its parameters and a few notices before the session is ready. After more messages
/// than this it is taken for broken.
const MOST_MESSAGES: u32 = 1000;

impl LoggingIn {
    pub(super) fn new(login: Login) -> Self {
        Self {
            login,
            stage: Stage::Begun,
            messages: 0,
        }
    }

    /// Writes the first message.
    pub(super) fn start(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let login = &self.login;
        let name = Some(&login.application_name).filter(|name| !name.is_empty());
        let parameters = [
            ("client_encoding", Some("UTF8")),
            ("user", Some(&*login.user)),
            ("database", Some(&*login.database)),
            ("options", login.options.as_deref()),
            ("application_name", name.map(|name| &**name)),
        ];
        let parameters = parameters.into_iter();
        let parameters = parameters.filter_map(|(name, value)| Some((name, value?)));
        if let Some((name, _)) = parameters.clone().find(|(_, value)| value.contains('\0')) {
            return Err(Error::config(format!("{name} has a NUL in it")));
        }
        encode::startup(out, parameters);
        Ok(())
    }

    /// Counts a message.
    pub(super) fn count(&mut self) -> Result<(), Fault> {
        self.messages += 1;
        if self.messages > MOST_MESSAGES {
            let why = format!("more than {MOST_MESSAGES} messages before the session was ready");
            return Err(violation(&why));
        }
        Ok(())
    }

    pub(super) fn is_in(&self) -> bool {
        matches!(self.stage, Stage::In)
    }

    /// Answers a message about authentication. Each can come at one place only, so that there is no
    /// loop.
    pub(super) fn authenticate(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut body = Body(body);
        let method = body.u32()?;
        let stage = std::mem::replace(&mut self.stage, Stage::Begun);
        self.stage = match (method, stage) {
            (0, Stage::Begun) => {
                self.may_skip_binding()?;
                Stage::In
            }
            (0, Stage::Told | Stage::Proven) => Stage::In,
            (0, Stage::Challenge(_) | Stage::Proof(_)) => {
                return Err(violation(
                    "that the user is in before it has proven that it knows the password",
                ));
            }
            (3, Stage::Begun) => {
                self.may_skip_binding()?;
                encode::password(out, without_nul(self.password()?)?);
                Stage::Told
            }
            (5, Stage::Begun) => {
                self.may_skip_binding()?;
                let user = self.login.user.as_bytes();
                let hash = md5_hash(user, self.password()?, body.bytes()?);
                encode::password(out, hash.as_bytes());
                Stage::Told
            }
            (10, Stage::Begun) => Stage::Challenge(self.choose_scram(body, out)?),
            (11, Stage::Challenge(mut scram)) => {
                scram.update(body.0).map_err(failed)?;
                encode::sasl_response(out, scram.message());
                Stage::Proof(scram)
            }
            (12, Stage::Proof(mut scram)) => {
                scram.finish(body.0).map_err(failed)?;
                Stage::Proven
            }
            (2 | 6 | 7 | 9, Stage::Begun) => return Err(not_served(method)),
            _ => {
                let why = format!("message {method} about authentication where it has no place");
                return Err(violation(&why));
            }
        };
        Ok(())
    }

    /// Answers with the first message of the best mechanism that both sides have. The flags tell the
    /// server whether this side could bind the channel, under the protection of the password: so a
    /// server that can notices when somebody between has taken that out of its offer.
    fn choose_scram(
        &self,
        mut offer: Body<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Box<ScramSha256>, Fault> {
        let (mut has_plain, mut has_plus) = (false, false);
        loop {
            match offer.text()? {
                b"" => break,
                mechanism => {
                    has_plain |= mechanism == SCRAM_SHA_256.as_bytes();
                    has_plus |= mechanism == SCRAM_SHA_256_PLUS.as_bytes();
                }
            }
        }
        let login = &self.login;
        if has_plus && !login.is_encrypted {
            return Err(Fault::new(
                "authentication error: the server offers channel binding without a channel that \
                 is encrypted",
            ));
        }
        let is_wanted = login.channel_binding != ChannelBinding::Disable;
        let binding = login.binding.clone().filter(|_| is_wanted);
        let (binding, mechanism) = match (binding, has_plus, has_plain) {
            (Some(hash), true, _) => {
                let binding = sasl::ChannelBinding::tls_server_end_point(hash);
                (binding, SCRAM_SHA_256_PLUS)
            }
            (Some(_), false, true) => (sasl::ChannelBinding::unrequested(), SCRAM_SHA_256),
            (None, _, true) => (sasl::ChannelBinding::unsupported(), SCRAM_SHA_256),
            _ => {
                return Err(Fault::new(
                    "authentication error: unsupported SASL mechanism",
                ));
            }
        };
        if mechanism != SCRAM_SHA_256_PLUS {
            self.may_skip_binding()?;
        }
        let scram = ScramSha256::new(self.password()?, binding);
        encode::sasl_initial(out, mechanism, scram.message());
        Ok(Box::new(scram))
    }

    fn password(&self) -> Result<&[u8], Fault> {
        let password = self.login.password.as_ref().map(Password::expose);
        password.ok_or_else(|| Fault::new("invalid configuration: password missing"))
    }

    fn may_skip_binding(&self) -> Result<(), Fault> {
        if self.login.channel_binding == ChannelBinding::Require {
            return Err(Fault::new(
                "authentication error: server did not use channel binding",
            ));
        }
        Ok(())
    }
}

fn without_nul(password: &[u8]) -> Result<&[u8], Fault> {
    if password.contains(&0) {
        return Err(Fault::new(
            "authentication error: the password has a NUL in it",
        ));
    }
    Ok(password)
}

fn failed(error: std::io::Error) -> Fault {
    Fault::new(format!("authentication error: {error}"))
}

fn not_served(method: u32) -> Fault {
    let name = match method {
        2 => "Kerberos V5",
        6 => "SCM credentials",
        7 => "GSSAPI",
        _ => "SSPI",
    };
    Fault::new(format!(
        "authentication error: the server asks for {name}, which is not served: let the user in by \
         scram-sha-256, md5, password, cert or trust in pg_hba.conf"
    ))
}
