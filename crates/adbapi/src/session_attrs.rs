//! Owns which servers are wanted (libpq's `target_session_attrs`) and how a session shows whether
//! its server is one. Knows no pool and opens nothing.

use postgres::{Client, SimpleQueryMessage, config};

/// What a server must be to be taken: libpq's `target_session_attrs`, see ["Parameter key
/// words"](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS) in
/// PostgreSQL's manual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetSessionAttrs {
    /// Anything.
    #[default]
    Any,
    /// Its sessions can write.
    ReadWrite,
    /// Its sessions cannot write.
    ReadOnly,
    /// It is no standby.
    Primary,
    /// It is a standby.
    Standby,
    /// It is a standby, or none of the servers is one that can be reached.
    PreferStandby,
}

impl TargetSessionAttrs {
    /// The wish as the connection config says it, which knows only three of the six.
    pub(super) fn of_config(config: &config::Config) -> Self {
        match config.get_target_session_attrs() {
            config::TargetSessionAttrs::ReadWrite => Self::ReadWrite,
            config::TargetSessionAttrs::ReadOnly => Self::ReadOnly,
            _ => Self::Any,
        }
    }

    /// The part that the client library checks while it connects.
    pub(super) fn to_config(self) -> config::TargetSessionAttrs {
        match self {
            Self::ReadWrite => config::TargetSessionAttrs::ReadWrite,
            Self::ReadOnly => config::TargetSessionAttrs::ReadOnly,
            _ => config::TargetSessionAttrs::Any,
        }
    }

    /// What to ask all servers for, one wish after the other, until one of them fits.
    pub(super) fn rounds(self) -> &'static [Self] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    /// Whether the server must be able to write.
    pub(super) fn is_to_write(self) -> bool {
        matches!(self, Self::ReadWrite | Self::Primary)
    }

    /// Whether a server can stop being the wanted kind and keep its connections.
    pub(super) fn may_change(self) -> bool {
        matches!(self, Self::ReadWrite | Self::Primary | Self::Standby)
    }

    /// Asks the server what it is now. Gives the reason if it is not what is wanted.
    pub(super) fn objection(
        self,
        client: &mut Client,
    ) -> Result<Option<&'static str>, postgres::Error> {
        let (question, unwanted, objection) = match self {
            Self::Any | Self::ReadOnly | Self::PreferStandby => return Ok(None),
            Self::ReadWrite => (
                "SHOW transaction_read_only",
                "on",
                "the server has become read-only",
            ),
            Self::Primary => (
                "SELECT pg_is_in_recovery()",
                "t",
                "the server is a standby (target_session_attrs is primary)",
            ),
            Self::Standby => (
                "SELECT pg_is_in_recovery()",
                "f",
                "the server is no standby (target_session_attrs is standby)",
            ),
        };
        let answers = client.simple_query(question)?;
        let is_unwanted = |answer: &SimpleQueryMessage| matches!(answer, SimpleQueryMessage::Row(row) if row.get(0) == Some(unwanted));
        Ok(answers.iter().any(is_unwanted).then_some(objection))
    }
}
