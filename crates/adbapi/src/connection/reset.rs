//! Owns how a session is reset to what it was before a job. Knows no job.

use postgres::{Client, SimpleQueryMessage};
use tracing::warn;

use super::{
    super::{LOG, error::describe},
    Connection,
};

/// DISCARD ALL, but prepared statements stay.
const DISCARD: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
                       SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP";

/// Gives the settings of the session as statements that set them again.
const SETTINGS: &str = "SELECT format('SELECT pg_catalog.set_config(%L, %L, false)', name, current_setting(name)) \
                        FROM pg_catalog.pg_settings WHERE source = 'session'";

/// The statements that reset a session to what it is now, whatever a job does to it.
pub(in super::super) fn reset_script(client: &mut Client) -> Result<String, postgres::Error> {
    let mut script = DISCARD.to_owned();
    for answer in client.simple_query(SETTINGS)? {
        if let SimpleQueryMessage::Row(row) = answer {
            script.push_str("; ");
            script.push_str(row.get(0).unwrap_or_default());
        }
    }
    Ok(script)
}

impl Connection {
    /// Undoes what a job left behind, if that is wanted. If it fails, the session is not used
    /// again.
    pub(in super::super) fn reset(&mut self) {
        let Some(script) = self.settings.reset.as_deref() else {
            return;
        };
        if self.broken || self.client.is_closed() {
            return;
        }
        if let Err(error) = self.client.batch_execute(script) {
            warn!(target: LOG, "a session could not be reset, it is discarded: {}", describe(&error));
            self.broken = true;
        }
        self.limit.end();
    }
}
