//! Owns the role and the database that a node works with: which names they may have, and how they
//! come into the cluster. Knows no processes.

use postgres_protocol::{
    escape::{escape_identifier, escape_literal},
    password::scram_sha_256,
};

use super::{ADMIN, Error, Options, sql::Connection};

/// PostgreSQL cuts longer names short (`NAMEDATALEN` - 1), which would make two of them one.
const NAME_BYTES_MAX: usize = 63;

pub(super) fn check_names(options: &Options) -> Result<(), Error> {
    check_name("role", &options.user)?;
    check_name("database", &options.database)
}

fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "it is longer than 63 bytes"
    } else if name.chars().any(char::is_control) {
        "it holds a control character"
    } else if name == ADMIN {
        "the embedded cluster keeps it for its superuser"
    } else {
        return Ok(());
    };
    Err(Error::Name {
        what,
        name: name.to_owned(),
        why,
    })
}

/// Brings the role, its password and the database to what the options say; repeating it changes
/// nothing.
pub(super) fn ensure(connection: &mut Connection, options: &Options) -> Result<(), Error> {
    // The server's log would else quote a statement that fails, or is slow, verifier and all.
    connection.run(
        "SET log_min_error_statement = panic; SET log_statement = none; \
         SET log_min_duration_statement = -1",
    )?;

    let role = escape_identifier(&options.user);
    let name = escape_literal(&options.user);
    let known = connection.run(&format!("SELECT FROM pg_roles WHERE rolname = {name}"))?;
    if known == 0 {
        connection.run(&format!("CREATE ROLE {role}"))?;
    }
    // The verifier is made here so that the password itself never leaves this process.
    let password = match &options.password {
        Some(password) => escape_literal(&scram_sha_256(password.as_bytes())),
        None => "NULL".to_owned(),
    };
    connection.run(&format!("ALTER ROLE {role} LOGIN PASSWORD {password}"))?;

    let database = escape_identifier(&options.database);
    let name = escape_literal(&options.database);
    let known = connection.run(&format!("SELECT FROM pg_database WHERE datname = {name}"))?;
    connection.run(&if known == 0 {
        format!("CREATE DATABASE {database} OWNER {role}")
    } else {
        format!("ALTER DATABASE {database} OWNER TO {role}")
    })?;
    Ok(())
}
