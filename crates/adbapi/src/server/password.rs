//! Owns where the password for one server comes from when the connection config has none, and what
//! to say when it is missing or wrong. Connects to nothing.

use std::path::PathBuf;

use postgres::{Config, config::Host};

use super::super::{
    builder::Builder,
    passfile::{self, Login},
};

/// The SQLSTATE of a wrong password. It is in the reason, whatever its language.
const WRONG_PASSWORD: &str = "28P01";

/// A password file, and the server that its line must be for.
pub(super) struct PasswordFile {
    file: PathBuf,
    host: String,
    port: u16,
    database: String,
    user: String,
}

impl PasswordFile {
    /// The file in which to look for this server's password, if there is one and the config has no
    /// password.
    pub(super) fn of(settings: &Builder, config: &Config) -> Option<Self> {
        let file = settings.driver.passfile.clone()?;
        if config.get_password().is_some() {
            return None;
        }
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(directory)) => directory.display().to_string(),
            None => String::new(),
        };
        let user = config.get_user().unwrap_or_default().to_owned();
        Some(Self {
            file,
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            database: config.get_dbname().unwrap_or(&user).to_owned(),
            user,
        })
    }

    /// Sets the password for an attempt to connect, if the file has one now. The hint explains a
    /// failure that comes from the password.
    pub(super) fn set_password(&self, config: &mut Config) -> Hint {
        let login = Login {
            host: &self.host,
            port: self.port,
            database: &self.database,
            user: &self.user,
        };
        match passfile::find(&self.file, &login) {
            Ok(password) => {
                config.password(password);
                Hint::FromFile(self.file.display().to_string())
            }
            Err(why) => Hint::NotInFile(why),
        }
    }
}

/// Where the password came from, to explain a failure.
pub(super) enum Hint {
    /// The connection config, or nowhere.
    Nothing,
    FromFile(String),
    /// Why it is not there.
    NotInFile(String),
}

impl Hint {
    pub(super) fn explain(&self, reason: String) -> String {
        // A missing password shows only in the client library's words. A wrong one is PostgreSQL's
        // error, whose words are translated, so its code is looked for.
        match self {
            Self::NotInFile(why) if reason.contains("password missing") => {
                format!(
                    "{reason}: PostgreSQL asks for one, none is set (`password`, PGPASSWORD, DATABASE_URL), and {why}"
                )
            }
            Self::FromFile(file) if reason.contains(WRONG_PASSWORD) => {
                format!("{reason}; the password is that of {file}")
            }
            _ => reason,
        }
    }
}
