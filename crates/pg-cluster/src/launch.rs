//! Owns how a server is started on a cluster, for the first time or again; does not stop it.

use std::{
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
};

use postgres_protocol::escape::escape_identifier;

use super::{
    Error, ReservedPort, binaries::Binaries, directory::Directory, leftover, server::ServerProcess,
    tried,
};

/// Starts the servers of one cluster, all on one port and socket.
pub(super) struct Launcher {
    pub(super) binaries: Binaries,
    pub(super) directory: Directory,
    socket_directory: PathBuf,
    port: ReservedPort,
    /// What takes the place of the data directory's `postgresql.conf`.
    config_file: Option<PathBuf>,
    log: File,
}

impl Launcher {
    pub(super) fn new(
        binaries: Binaries,
        directory: Directory,
        socket_directory: &Path,
        config_file: Option<PathBuf>,
    ) -> Result<Self, Error> {
        Ok(Self {
            log: directory.open_log()?,
            binaries,
            directory,
            socket_directory: socket_directory.to_owned(),
            port: ReservedPort::new()?,
            config_file,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port.number()
    }

    /// Starts the server, which does not take connections yet. Fails while a process of the last
    /// one lives.
    pub(super) fn start(&self) -> Result<ServerProcess, Error> {
        let directory = &self.directory;
        let lock = leftover::take_lock(directory)?;
        leftover::remove_pid_file(directory)?;
        leftover::remove_socket_lock(&self.socket_directory, self.port())?;
        let program = self.binaries.program("postgres");
        let failed = || tried(format!("cannot run {}", program.display()));
        let child = directory
            .command(&program)
            .arg("-D")
            .arg(&directory.data)
            .args(self.settings())
            .stdin(lock)
            .stdout(self.log.try_clone().map_err(failed())?)
            .stderr(Stdio::from(self.log.try_clone().map_err(failed())?))
            .spawn()
            .map_err(failed())?;
        Ok(ServerProcess::new(child, directory))
    }

    /// The settings that no configuration file may change, as arguments.
    fn settings(&self) -> Vec<OsString> {
        let directory = &self.directory;
        // The value is a list, in which a path with a comma or a space has to be quoted.
        let sockets = escape_identifier(&self.socket_directory.display().to_string());
        let mut settings = vec![
            "listen_addresses=127.0.0.1".into(),
            format!("port={}", self.port()).into(),
            format!("unix_socket_directories={sockets}").into(),
            "unix_socket_permissions=0700".into(),
            path_setting("hba_file", &directory.path.join("pg_hba.conf")),
            path_setting("ident_file", &directory.path.join("pg_ident.conf")),
            "password_encryption=scram-sha-256".into(),
            "logging_collector=off".into(),
            "log_destination=stderr".into(),
            "cluster_name=wampgres".into(),
        ];
        let config_file = self.config_file.as_deref();
        settings.extend(config_file.map(|path| path_setting("config_file", path)));
        let flagged = settings.into_iter();
        flagged.flat_map(|setting| ["-c".into(), setting]).collect()
    }
}

fn path_setting(name: &str, path: &Path) -> OsString {
    let mut setting = OsString::from(name);
    setting.push("=");
    setting.push(path);
    setting
}
