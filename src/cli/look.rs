//! What commands have in common that look at the SQL of a configuration without a node: on its
//! databases, or on a private PostgreSQL. Must not know what they look for.

use std::{error::Error, path::PathBuf, time::Duration};

use clap::Args;
use component::{Classes, sql::SqlComponent};

use super::embedded;
use crate::{
    config::NodeConfig,
    node::{self, StopTimes, look_at_sql},
};

/// How long it may take to close the databases.
pub(super) const CLOSE_TIME: Duration = Duration::from_secs(2);
/// How long a private PostgreSQL may take to stop.
const STOP_TIME: Duration = Duration::from_secs(8);

/// Which databases are asked.
#[derive(Args)]
pub(super) struct EmbeddedArgs {
    /// Ask a private PostgreSQL instead of the host and port of the configuration, as `start` does:
    /// that of a node that runs, else one that is started for this command
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    embedded_postgres: Option<Option<PathBuf>>,
}

impl EmbeddedArgs {
    pub(super) fn is_given(&self) -> bool {
        self.embedded_postgres.is_some()
    }
}

/// Looks at each component of the class `sql.Procedures`, by its place in the configuration.
///
/// # Blocking
/// As [`on_databases`].
pub(super) fn at_sql<T>(
    config: &mut NodeConfig,
    embedded: &EmbeddedArgs,
    classes: &Classes,
    look: impl FnMut(&str, SqlComponent<'_>) -> T,
) -> Result<Vec<T>, Box<dyn Error>> {
    on_databases(config, embedded, |config| {
        look_at_sql(config, classes, StopTimes::of(CLOSE_TIME), look)
    })
}

/// Asks something of the databases of a configuration, which may be moved to a private PostgreSQL.
///
/// # Blocking
/// For as long as `ask` takes, and the private PostgreSQL to start and stop.
pub(super) fn on_databases<T>(
    config: &mut NodeConfig,
    embedded: &EmbeddedArgs,
    ask: impl FnOnce(&NodeConfig) -> Result<T, node::Error>,
) -> Result<T, Box<dyn Error>> {
    let postgres = match &embedded.embedded_postgres {
        Some(directory) => embedded::start_or_join(config, directory.clone())?,
        None => None,
    };
    let answer = ask(config)?;
    if let Some(postgres) = postgres {
        postgres.stop(STOP_TIME)?;
    }
    Ok(answer)
}
