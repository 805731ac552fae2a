//! Owns which servers are wanted (libpq's `target_session_attrs`) and how a session shows whether
//! its server is one. Knows no pool and opens nothing.

use postgres::{Client, SimpleQueryMessage, config};
use sql::TargetSessionAttrs;

/// What the driver asks of a wish.
pub(super) trait SessionAttrs: Copy {
    /// The wish as the connection config says it, which knows only three of the six.
    fn of_config(config: &config::Config) -> Self;

    /// The part that the client library checks while it connects.
    fn to_config(self) -> config::TargetSessionAttrs;

    /// What to ask all servers for, one wish after the other, until one of them fits.
    fn rounds(self) -> &'static [Self];

    /// Whether the server must be able to write.
    fn is_to_write(self) -> bool;

    /// Whether a server can stop being the wanted kind and keep its connections.
    fn may_change(self) -> bool;

    /// Asks the server what it is now. Gives the reason if it is not what is wanted.
    fn objection(self, client: &mut Client) -> Result<Option<&'static str>, postgres::Error>;
}

impl SessionAttrs for TargetSessionAttrs {
    fn of_config(config: &config::Config) -> Self {
        match config.get_target_session_attrs() {
            config::TargetSessionAttrs::ReadWrite => Self::ReadWrite,
            config::TargetSessionAttrs::ReadOnly => Self::ReadOnly,
            _ => Self::Any,
        }
    }

    fn to_config(self) -> config::TargetSessionAttrs {
        match self {
            Self::ReadWrite => config::TargetSessionAttrs::ReadWrite,
            Self::ReadOnly => config::TargetSessionAttrs::ReadOnly,
            _ => config::TargetSessionAttrs::Any,
        }
    }

    fn rounds(self) -> &'static [Self] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    fn is_to_write(self) -> bool {
        matches!(self, Self::ReadWrite | Self::Primary)
    }

    fn may_change(self) -> bool {
        matches!(self, Self::ReadWrite | Self::Primary | Self::Standby)
    }

    fn objection(self, client: &mut Client) -> Result<Option<&'static str>, postgres::Error> {
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
