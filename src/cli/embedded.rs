//! `--embedded-postgres`: a private PostgreSQL in the place of a configuration's databases. Must not
//! know how such a server is run.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::config::{Component, Database, NodeConfig, Secret};
use component::sql::{CLASSNAME, Installation};
use pg_cluster::{EmbeddedPostgres, Error, Options, running};

/// Starts a private cluster with the role and database of the configuration, moves the configuration's
/// databases there, installs what `sql.Procedures` has for SQL, and runs their schema files. `None` if there are none.
pub(super) fn start(
    config: &mut NodeConfig,
    directory: Option<PathBuf>,
) -> Result<Option<EmbeddedPostgres>, Box<dyn std::error::Error>> {
    let Some(options) = options(config, directory)? else {
        tracing::warn!("--embedded-postgres is of no use: no component has a database");
        return Ok(None);
    };
    let postgres = EmbeddedPostgres::start(&options)?;
    // The socket is faster than TCP, and needs no password of the user that runs the node.
    move_to(
        config,
        &postgres.socket_directory().display().to_string(),
        postgres.port(),
    );
    // Schema files may use what it installs.
    let is_sql = |component: &Component| component.classname == CLASSNAME;
    if config.components.iter().any(is_sql) {
        let script = Installation::Install { watch_ddl: false }.script();
        postgres.run(Path::new("sql-install"), &script, &options)?;
    }
    let files = config
        .databases
        .iter()
        .filter_map(|d| d.schema_file.as_ref());
    for file in files.collect::<BTreeSet<_>>() {
        postgres.run_script(file, &options)?;
    }
    Ok(Some(postgres))
}

/// The same, but for the server of a node that runs, which is taken as it is. `None` for that too.
pub(super) fn start_or_join(
    config: &mut NodeConfig,
    directory: Option<PathBuf>,
) -> Result<Option<EmbeddedPostgres>, Box<dyn std::error::Error>> {
    match start(config, directory) {
        Err(error) => match error.downcast_ref() {
            Some(Error::Locked { directory, .. }) => {
                let (socket_directory, port) = running(directory)?;
                move_to(config, &socket_directory.display().to_string(), port);
                Ok(None)
            }
            _ => Err(error),
        },
        started => started,
    }
}

/// The role and the database to make, which all databases of the configuration have in common.
fn options(config: &NodeConfig, directory: Option<PathBuf>) -> Result<Option<Options>, String> {
    let Some((database, others)) = config.databases.split_first() else {
        return Ok(None);
    };
    let identity = |d: &Database| (d.user.clone(), d.database.clone(), d.password.clone());
    if others.iter().any(|d| identity(d) != identity(database)) {
        return Err(
            "--embedded-postgres makes one role with one database: let all components name the same, \
             or run a PostgreSQL of your own"
                .to_owned(),
        );
    }
    Ok(Some(Options {
        directory,
        user: database.user.clone(),
        password: (database.password.as_ref()).map(|password| Secret::expose(password).to_owned()),
        database: database.database.clone(),
    }))
}

fn move_to(config: &mut NodeConfig, host: &str, port: u16) {
    for database in &mut config.databases {
        database.move_to(host, port);
    }
}
