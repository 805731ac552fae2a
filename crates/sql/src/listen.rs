//! Owns what a listener to a channel is told (LISTEN and NOTIFY), and the names of channels. Must
//! not know who holds the listening connection.

use std::fmt;

use super::error::Error;

/// The longest name of a channel, in bytes: PostgreSQL cuts longer ones, and its notifications then
/// have another name.
const LONGEST: usize = 63;

/// What a listener is told, in the order in which it happens.
#[derive(Clone, Debug)]
pub enum ListenEvent {
    /// What is notified from now on is heard.
    Listening {
        /// Whether the listening connection was lost before, so that notifications may be missing.
        after_gap: bool,
    },
    /// Somebody has notified the channel, and has committed.
    Notified(Notification),
    /// The listening connection is lost or cannot be had; another is tried for. After an error of
    /// the kind [`ErrorKind::Closed`](crate::ErrorKind::Closed) nothing comes any more.
    Lost(Error),
}

/// One NOTIFY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The channel.
    pub channel: Box<str>,
    /// What was sent with it, empty if nothing was.
    pub payload: Box<str>,
    /// Of the backend that sent it.
    pub process_id: i32,
}

/// Who is told. Called on a thread of the backend's, one call at a time; it must not block.
pub type OnListenEvent = Box<dyn Fn(&ListenEvent) + Send + Sync>;

/// Somebody listens, until this is dropped.
#[must_use = "it listens no longer than this is kept"]
pub struct Listener {
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Listener {
    /// What a backend does when nobody listens any more. Must not block.
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self {
            end: Some(Box::new(end)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// The name of a channel as an identifier in SQL.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if PostgreSQL can have no such channel.
pub fn quote_channel(channel: &str) -> Result<String, Error> {
    let fault = if channel.is_empty() {
        "is empty".to_owned()
    } else if channel.contains('\0') {
        "has a NUL in it".to_owned()
    } else if channel.len() > LONGEST {
        format!("has {} bytes, more than {LONGEST}", channel.len())
    } else {
        return Ok(format!("\"{}\"", channel.replace('"', "\"\"")));
    };
    Err(Error::config(format!("the name of a channel {fault}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_have_the_names_that_postgresql_can_keep() {
        assert_eq!(quote_channel("a\"b").unwrap(), "\"a\"\"b\"");
        assert!(quote_channel(&"x".repeat(63)).is_ok());
        for wrong in ["", "a\0b", &"x".repeat(64)] {
            assert!(quote_channel(wrong).is_err(), "{wrong:?}");
        }
    }
}
