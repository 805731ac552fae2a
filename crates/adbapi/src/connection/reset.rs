//! Owns how a session is made as it was before a job. Knows no job.

use postgres::{Client, SimpleQueryMessage};
use tracing::warn;

use super::{
    super::{LOG, error::describe},
    Connection,
};

/// DISCARD ALL without what it does to prepared statements, which are ours.
const DISCARD: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
                       SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP";

/// What the session has set so far, as statements that set it again.
const SETTINGS: &str = "SELECT format('SELECT pg_catalog.set_config(%L, %L, false)', name, current_setting(name)) \
                        FROM pg_catalog.pg_settings WHERE source = 'session'";

/// What makes a session as it is now, whatever a job will do to it.
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
    /// Undoes what a job left behind, if that is wanted. A session of which this fails is not used
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
