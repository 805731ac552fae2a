//! The node's configuration: a file in the form of Crossbar.io's `config.json`, checked as a whole
//! before anything starts. Owns which keys exist, which of them are served here, and what is wrong
//! with a file; must not know who uses the result, and does nothing but read that file and see
//! whether the directories and files it names exist.
//!
//! A check ends in a [`NodeConfig`] or in all the faults at once, each with its JSON path:
//!
//! ```
//! use std::path::Path;
//! use wampgres::config::{ConfigError, Options, check_text};
//!
//! let options = Options { classes: &[], database_classes: &[], environment: &|_| None };
//! let text = r#"{"version": 2, "workers": [{"type": "rooter"}]}"#;
//! let error = check_text(text, Path::new("."), &options).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "1 fault\n  workers[0].type: seen \"rooter\"; must be `router` or `container`, did you mean `router`?"
//! );
//! ```
//!
//! Inside, `json` keeps the order of keys and the repeated ones, `keys` has a table for each
//! section, `reader` walks and collects faults, `object` reads by the tables, and `check`, `router`,
//! `listener`, `websocket`, `component` and `database` make the `model` of what they read.
//! `reference` prints the tables for `docs/config.md`.

use std::path::{Path, PathBuf};

mod check;
mod component;
mod context;
mod database;
mod databases;
mod display;

mod duration;
mod fault;
mod json;
mod keys;
mod libpq;
mod listener;
mod model;
mod object;
mod reader;
mod reference;
mod router;

#[cfg(test)]
mod tests;
mod url;
mod websocket;
mod words;

pub use context::Options;
pub use fault::{ConfigError, Fault, Note};
pub use model::{
    Allow, Authorizer, Backend, ChannelBinding, ClientCertificate, ClientTransport, Component,
    Database, Disclose, ErrorDetails, IpVersion, Keepalives, Limits, Listener, ListenerService,
    MatchPolicy, NodeConfig, PathService, Permission, Realm, Reset, Role, RouterWorker, Secret,
    Server, SslMode, SslRootCert, StaticOptions, TargetSessionAttrs, TcpEndpoint, TlsVersion,
    Transport, WebSocketOptions,
};

pub use reference::reference;
pub use url::WebSocketUrl;

/// The environment of this process, for [`Options::environment`]. A variable that is not UTF-8
/// counts as not set.
pub fn process_environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// Reads and checks a config file. Relative paths in it are relative to the directory it stands in.
///
/// # Errors
///
/// [`ConfigError::Io`] when the file cannot be read, otherwise those of [`check_text`].
///
/// # Blocking
///
/// Reads the file and the metadata of the directories and files it names.
pub fn load(path: &Path, options: &Options<'_>) -> Result<NodeConfig, ConfigError> {
    let io = |source| ConfigError::Io {
        file: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(io)?;
    let absolute = std::path::absolute(path).map_err(io)?;
    let directory = absolute.parent().map_or_else(PathBuf::new, Path::to_owned);
    check_text(&text, &directory, options)
}

/// Checks the text of a config file. Relative paths in it are relative to `base_dir`, which should
/// be absolute.
///
/// # Errors
///
/// [`ConfigError::Syntax`] when the text is not JSON; [`ConfigError::Faults`] with everything that
/// is wrong with it when it is.
///
/// # Blocking
///
/// Reads the metadata of the directories and files that the text names.
pub fn check_text(
    text: &str,
    base_dir: &Path,
    options: &Options<'_>,
) -> Result<NodeConfig, ConfigError> {
    let document = json::Json::parse(text)?;
    let report = reader::Report::default();
    let root = reader::Cursor::root(&document, &report);
    root.repeated_keys();
    let mut node = check::node(&root, &context::Context { base_dir, options });
    let (faults, notes) = report.into_parts();
    if !faults.is_empty() {
        return Err(ConfigError::Faults(faults));
    }
    node.notes = notes;
    Ok(node)
}
