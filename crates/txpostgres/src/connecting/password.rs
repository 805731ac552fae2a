//! Owns where the password for one server comes from when the settings have none, and what to say
//! when it is missing or wrong. Connects to nothing.

use sql::{Error, Password, PasswordLogin, find_password};

use super::Servers;

/// The SQLSTATE of a wrong password.
const WRONG_PASSWORD: &str = "28P01";

/// Where the password came from, to explain a failure.
pub(crate) enum Hint {
    /// The settings, or nowhere.
    Nothing,
    FromFile(String),
    /// Why it is not there.
    NotInFile(String),
}

impl Servers {
    /// The password for a server as it is now: its file may change.
    pub(crate) fn password(&self, number: usize) -> (Option<Password>, Hint) {
        if let Some(password) = &self.settings.password {
            return (Some(password.clone()), Hint::Nothing);
        }
        let Some(file) = &self.settings.passfile else {
            return (None, Hint::Nothing);
        };
        let server = self.server(number);
        let login = PasswordLogin {
            host: &server.host,
            port: server.port,
            database: &self.settings.database,
            user: &self.settings.user,
        };
        match find_password(file, &login) {
            Ok(password) => {
                let hint = Hint::FromFile(file.display().to_string());
                (Some(Password::new(password)), hint)
            }
            Err(why) => (None, Hint::NotInFile(why)),
        }
    }
}

impl Hint {
    /// The reason of a failure, with what this says about it.
    pub(crate) fn explain(&self, error: &Error) -> String {
        let reason = error.to_string();
        match self {
            // A missing password shows only in our own session's words.
            Self::NotInFile(why) if error.report().is_none() && reason.contains("password") => {
                format!(
                    "{reason}: PostgreSQL asks for one, none is set (`password`, PGPASSWORD, DATABASE_URL), and {why}"
                )
            }
            Self::FromFile(file) if error.sqlstate() == Some(WRONG_PASSWORD) => {
                format!("{reason}; the password is that of {file}")
            }
            _ => reason,
        }
    }
}
