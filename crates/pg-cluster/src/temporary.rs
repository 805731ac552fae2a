//! Owns clusters that nobody will miss, for tests and trials: made quickly, set up, started and
//! stopped at will, and gone without a trace. Starts no server again by itself.

#[cfg(test)]
mod tests;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::error;

use super::{
    DROP_TIMEOUT, Error,
    binaries::{Binaries, Places},
    directory::{Directory, SocketDirectory, temporary_path},
    launch::Launcher,
    leftover, make,
    server::{ServerProcess, Shutdown},
    sweeper::Sweeper,
};

/// How long a server may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
/// The name of the file with the cluster's own settings.
const CONFIG_FILE: &str = "postgresql.conf";
/// Only who may enter the socket's directory reaches the socket.
const ACCESS_RULES: &str = "local all,replication all trust\n\
                            host all,replication all 127.0.0.1/32 scram-sha-256\n";

/// A PostgreSQL cluster in a temporary directory of its own, with a server that is started and
/// stopped on request, always on the same port of 127.0.0.1 and the same Unix socket. While it is
/// stopped, the port refuses connections and nobody else gets it.
///
/// The server ends and the directory goes when this value is dropped, and also when this process
/// ends in whatever way, SIGKILL included. Nothing is synced to the disk (`fsync = off`).
///
/// PostgreSQL refuses to run as root, so root's servers run as the user `postgres`, or `nobody`
/// where there is none. The Unix socket is for the server's user (and root).
///
/// The functions that run a program block the calling thread until that is done.
///
/// ```no_run
/// use pg_cluster::{Shutdown, TemporaryCluster};
///
/// let template = TemporaryCluster::create("app", Some("secret"))?;
/// let cluster = template.copy()?;
/// cluster.set("max_connections = 200\n")?;
/// cluster.start()?;
/// println!("psql -h 127.0.0.1 -p {} -U app postgres", cluster.port());
/// cluster.stop(Shutdown::Fast)?;
/// # Ok::<(), pg_cluster::Error>(())
/// ```
pub struct TemporaryCluster {
    superuser: String,
    server: Mutex<Option<ServerProcess>>,
    launcher: Launcher,
    socket_directory: SocketDirectory,
    /// Declared last: the directory goes after what lies in it.
    sweeper: Sweeper,
}

impl TemporaryCluster {
    /// Makes a cluster with this superuser and, if there is one, this password. No server runs yet.
    /// `initdb` takes seconds, [`TemporaryCluster::copy`] a fraction of one.
    ///
    /// # Errors
    /// There are no server binaries, or the cluster could not be made.
    pub fn create(superuser: &str, password: Option<&str>) -> Result<Self, Error> {
        let find = |directory: &Directory| Binaries::find(&Places::of_this_system(), directory);
        Self::make(superuser, find, |binaries, directory| {
            let mut initdb = make::initdb(binaries, directory, superuser);
            initdb.arg("--no-sync");
            if let Some(password) = password {
                let file = directory.write_private("password", password)?;
                initdb.arg("--pwfile").arg(&file);
                make::data_directory(directory, initdb)?;
                // The directory takes it along when it goes.
                let _ = fs::remove_file(file);
                return Ok(());
            }
            make::data_directory(directory, initdb)
        })
    }

    /// A new cluster with a copy of the data of this one, whose server must not run. Access rules,
    /// settings and files are not copied.
    ///
    /// # Errors
    /// The data could not be copied.
    pub fn copy(&self) -> Result<Self, Error> {
        self.derive(|directory| {
            let mut copy = directory.command(Path::new("cp"));
            // With the dot: what is in the directory, not the directory.
            copy.arg("-R").arg(self.launcher.directory.data.join("."));
            copy
        })
    }

    /// A new cluster that follows this one, whose server must run, as a hot standby. It does not
    /// run yet.
    ///
    /// # Errors
    /// The data could not be fetched from the server.
    pub fn standby(&self) -> Result<Self, Error> {
        self.derive(|directory| {
            let program = self.launcher.binaries.program("pg_basebackup");
            let mut fetch = directory.command(&program);
            fetch
                .args(["--write-recovery-conf", "--wal-method=stream"])
                .args(["--checkpoint=fast", "--no-sync"])
                .arg(format!("--username={}", self.superuser))
                .arg(format!("--port={}", self.port()))
                .arg("--host")
                .arg(self.socket_directory())
                .arg("--pgdata");
            fetch
        })
    }

    fn derive(&self, command: impl FnOnce(&Directory) -> Command) -> Result<Self, Error> {
        let binaries = |_: &Directory| Ok(self.launcher.binaries.clone());
        Self::make(&self.superuser, binaries, |_, directory| {
            make::data_directory(directory, command(directory))
        })
    }

    fn make(
        superuser: &str,
        binaries: impl FnOnce(&Directory) -> Result<Binaries, Error>,
        fill: impl FnOnce(&Binaries, &Directory) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let path = temporary_path(SocketDirectory::fits_below);
        let directory = Directory::prepare(Some(&path))?;
        let sweeper = Sweeper::of_cluster(&directory)?;
        let binaries = binaries(&directory)?;
        fill(&binaries, &directory)?;
        let socket_directory = directory.socket_directory()?;
        let config_file = directory.path.join(CONFIG_FILE);
        let socket = socket_directory.path();
        let cluster = Self {
            superuser: superuser.to_owned(),
            server: Mutex::new(None),
            launcher: Launcher::new(binaries, directory, socket, Some(config_file))?,
            socket_directory,
            sweeper,
        };
        cluster.launcher.directory.write("pg_ident.conf", "")?;
        cluster.set_access_rules(ACCESS_RULES)?;
        cluster.set("")?;
        Ok(cluster)
    }

    /// Starts the server, unless it runs, and waits until it takes connections.
    ///
    /// # Errors
    /// The server did not start; the error has the end of its log.
    pub fn start(&self) -> Result<(), Error> {
        let mut running = self.server();
        if let Some(server) = &mut *running
            && server.ended_by_itself().is_none()
        {
            return Ok(());
        }
        // If the last one was killed, its processes need a moment to see that.
        leftover::clear(&self.launcher.directory)?;
        let mut server = self.launcher.start()?;
        self.sweeper.watch(Some(server.pid()));
        server.wait_until_ready()?;
        *running = Some(server);
        Ok(())
    }

    /// Stops the server, if it runs. One that has not ended after half a minute is ended more
    /// roughly.
    ///
    /// # Errors
    /// The server has ended by itself, not in order, or it could not be stopped.
    pub fn stop(&self, how: Shutdown) -> Result<(), Error> {
        self.stop_within(how, STOP_TIMEOUT)
    }

    /// Kills the server's first process, as the system does when memory is short. The others notice
    /// that in a moment; [`TemporaryCluster::start`] waits for them.
    ///
    /// # Errors
    /// It could not be killed.
    pub fn kill(&self) -> Result<(), Error> {
        let server = self.server().take();
        let killed = server.map_or(Ok(()), ServerProcess::kill);
        self.sweeper.watch(None);
        killed
    }

    fn stop_within(&self, how: Shutdown, within: Duration) -> Result<(), Error> {
        let server = self.server().take();
        let stopped = server.map_or(Ok(()), |server| server.stop(how, within));
        self.sweeper.watch(None);
        stopped
    }

    /// Says who may log in, as `pg_hba.conf` does. This counts from the next start on, or once the
    /// running server reloads its files (`SELECT pg_reload_conf()`). Until this is called, the
    /// socket needs no password and TCP needs one (scram-sha-256).
    ///
    /// # Errors
    /// The file could not be written.
    pub fn set_access_rules(&self, rules: &str) -> Result<(), Error> {
        self.launcher.directory.write("pg_hba.conf", rules)
    }

    /// Replaces the cluster's own settings by these, which are lines as in `postgresql.conf`. They
    /// count from the next start on or, those that allow it, once the running server reloads them.
    /// Relative paths begin in the data directory, whose parent has the files of
    /// [`TemporaryCluster::write_file`].
    ///
    /// # Errors
    /// The file could not be written.
    pub fn set(&self, settings: &str) -> Result<(), Error> {
        let text = format!("include 'data/postgresql.conf'\nfsync = off\n{settings}");
        self.launcher.directory.write(CONFIG_FILE, &text)
    }

    /// Writes a file that only the server may read, as it wants that of a certificate's key, and
    /// gives its path.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write_file(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        self.launcher.directory.write_private(name, text)
    }

    /// A command that runs as the server's user, in the cluster's directory, with nothing of this
    /// process's environment but the paths to programs and libraries and the time zone.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        self.launcher.directory.command(program.as_ref())
    }

    /// The TCP port, which is also the number in the Unix socket's name.
    pub fn port(&self) -> u16 {
        self.launcher.port()
    }

    /// The directory of the Unix socket, as a PostgreSQL `host` parameter takes it.
    pub fn socket_directory(&self) -> &Path {
        self.socket_directory.path()
    }

    /// The number of the server's first process, the postmaster, if the server runs.
    pub fn pid(&self) -> Option<i32> {
        let server = self.server();
        server.as_ref().map(|server| server.pid().as_raw())
    }

    fn server(&self) -> MutexGuard<'_, Option<ServerProcess>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TemporaryCluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop_within(Shutdown::Immediate, DROP_TIMEOUT) {
            error!(target: crate::LOG, "{error}");
        }
    }
}

impl fmt::Debug for TemporaryCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryCluster")
            .field("port", &self.port())
            .field("socket_directory", &self.socket_directory())
            .finish_non_exhaustive()
    }
}
