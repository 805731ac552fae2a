//! Owns the private PostgreSQL clusters of the tests: made, started, stopped, killed and removed
//! here. Knows nothing of the pool.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a server has to start or stop.
const LIMIT: Duration = Duration::from_secs(30);

/// One PostgreSQL server in a directory of its own, on a Unix socket and a loopback port.
///
/// It is stopped and removed when this is dropped, or when the test process ends in whatever way: a
/// shell waits for the end of a pipe that only this process holds open.
pub(crate) struct Cluster {
    data: PathBuf,
    port: u16,
    _scratch: Scratch,
}

impl Cluster {
    /// The cluster that all tests share which leave the server alone.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start_new)
    }

    /// A cluster of one's own, running.
    pub(crate) fn start_new() -> Self {
        let cluster = Self::new();
        cluster.start();
        cluster
    }

    /// A cluster of one's own, not running yet.
    pub(crate) fn new() -> Self {
        static TEMPLATE: OnceLock<Scratch> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let scratch = Scratch::new();
            let data = scratch.path.join("data");
            let initdb = [
                "-U",
                "app",
                "-A",
                "trust",
                "--no-sync",
                "--no-instructions",
                "-E",
                "UTF8",
                "--locale=C",
            ];
            succeed(server_command("initdb").args(initdb).arg("-D").arg(&data));
            scratch
        });
        let scratch = Scratch::new();
        let data = scratch.path.join("data");
        succeed(
            unprivileged("cp")
                .arg("-R")
                .arg(template.path.join("data"))
                .arg(&data),
        );
        Self {
            data,
            port: free_port(),
            _scratch: scratch,
        }
    }

    /// A running standby that follows `primary`.
    pub(crate) fn standby_of(primary: &Self) -> Self {
        let scratch = Scratch::new();
        let data = scratch.path.join("data");
        let mut copy = server_command("pg_basebackup");
        copy.args([
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "--no-sync",
            "-U",
            "app",
            "-h",
        ]);
        copy.arg(primary.data.parent().unwrap());
        succeed(
            copy.args(["-p", &primary.port.to_string(), "-D"])
                .arg(&data),
        );
        let standby = Self {
            data,
            port: free_port(),
            _scratch: scratch,
        };
        standby.start();
        standby
    }

    /// Makes a standby a primary.
    pub(crate) fn promote(&self) {
        succeed(self.pg_ctl().args(["-w", "promote"]));
    }

    /// Before the start: TCP connections need a password, the Unix socket needs none.
    pub(crate) fn ask_for_passwords_on_tcp(&self) {
        self.let_in("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
    }

    /// Offers TLS with this certificate and its key, both PEM, from the next start or reload on.
    /// Undoes ALTER SYSTEM.
    pub(crate) fn offer_tls(&self, certificate: &str, key: &str) {
        write(&self.data.join("server.crt"), certificate);
        write(&self.data.join("server.key"), key);
        write(&self.data.join("postgresql.auto.conf"), "ssl = on\n");
    }

    /// With TLS, before the start: clients may show certificates of this authority.
    pub(crate) fn ask_for_certificates_of(&self, authority: &str) {
        write(&self.data.join("root.crt"), authority);
        let settings = "ssl = on\nssl_ca_file = 'root.crt'\n";
        write(&self.data.join("postgresql.auto.conf"), settings);
    }

    /// Before the start: who gets in, as `pg_hba.conf` says it.
    pub(crate) fn let_in(&self, rules: &str) {
        write(&self.data.join("pg_hba.conf"), rules);
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn start(&self) {
        let options = format!(
            "-F -p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=200 -c shared_buffers=16MB",
            self.port,
            self.data.parent().unwrap().display()
        );
        let log = self.data.with_extension("log");
        succeed(
            self.pg_ctl()
                .arg("-l")
                .arg(log)
                .args(["-w", "-o", &options, "start"]),
        );
    }

    /// `mode` is `fast` or `immediate`.
    pub(crate) fn stop(&self, mode: &str) {
        succeed(self.pg_ctl().args(["-w", "-m", mode, "stop"]));
    }

    pub(crate) fn restart(&self, mode: &str) {
        self.stop(mode);
        self.start();
    }

    fn pg_ctl(&self) -> Command {
        let mut command = server_command("pg_ctl");
        command.arg("-D").arg(&self.data);
        command
    }

    /// The process id of the postmaster.
    pub(crate) fn postmaster(&self) -> i32 {
        let file = fs::read_to_string(self.data.join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    /// How to reach it through its Unix socket.
    pub(crate) fn config(&self) -> postgres::Config {
        let mut config = postgres::Config::new();
        config
            .host_path(self.data.parent().unwrap())
            .port(self.port)
            .user("app")
            .dbname("postgres");
        config
    }

    /// How to reach it through TCP.
    pub(crate) fn tcp_config(&self) -> postgres::Config {
        config_at(self.port)
    }

    /// A connection beside the pool, to look at the server from outside.
    pub(crate) fn client(&self) -> postgres::Client {
        self.config().connect(postgres::NoTls).unwrap()
    }
}

/// A PgBouncer in transaction mode in front of a cluster: each transaction may get another session.
pub(crate) struct Bouncer {
    port: u16,
    _scratch: Scratch,
}

impl Bouncer {
    pub(crate) fn before(cluster: &Cluster, sessions: u32) -> Self {
        let program = Path::new("/usr/sbin/pgbouncer");
        assert!(
            program.exists(),
            "this test needs PgBouncer: apt-get install pgbouncer"
        );
        let (scratch, port) = (Scratch::new(), free_port());
        let (dir, socket) = (
            scratch.path.display(),
            cluster.data.parent().unwrap().display(),
        );
        let settings = format!(
            "[databases]\n\
             postgres = host={socket} port={} user=app\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = {sessions}\n\
             logfile = {dir}/pgbouncer.log\n\
             pidfile = {dir}/pgbouncer.pid\n",
            cluster.port
        );
        let file = scratch.path.join("pgbouncer.ini");
        write(&file, &settings);
        succeed(unprivileged(program).args(["-q", "-d"]).arg(&file));
        Self {
            port,
            _scratch: scratch,
        }
    }

    pub(crate) fn config(&self) -> postgres::Config {
        config_at(self.port)
    }
}

/// A network between a pool and a cluster that can hold back what the server says on the
/// connections made through it.
pub(crate) struct Network {
    port: u16,
    holds_back: Arc<AtomicBool>,
}

impl Network {
    pub(crate) fn before(cluster: &Cluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let network = Self {
            port: listener.local_addr().unwrap().port(),
            holds_back: Arc::default(),
        };
        let (server, holds_back) = (cluster.port, network.holds_back.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let (mut asks, mut asked) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || io::copy(&mut asks, &mut asked));
                let holds_back = holds_back.clone();
                thread::spawn(move || carry(server, client, &holds_back));
            }
        });
        network
    }

    /// From now on nothing of what the server says arrives before it has closed a connection, and
    /// then all at once.
    pub(crate) fn hold_back(&self) {
        self.holds_back.store(true, Ordering::SeqCst);
    }

    pub(crate) fn config(&self) -> postgres::Config {
        config_at(self.port)
    }
}

/// How the tests' user connects to this port.
fn config_at(port: u16) -> postgres::Config {
    let mut config = postgres::Config::new();
    config
        .host("127.0.0.1")
        .port(port)
        .user("app")
        .dbname("postgres");
    config
}

fn carry(mut from: TcpStream, mut to: TcpStream, holds_back: &AtomicBool) {
    let (mut held, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = from.read(&mut piece).unwrap_or(0);
        held.extend_from_slice(&piece[..read]);
        if read == 0 {
            holds_back.store(false, Ordering::SeqCst);
        }
        if !holds_back.load(Ordering::SeqCst) {
            if to.write_all(&held).is_err() || read == 0 {
                let _ = to.shutdown(std::net::Shutdown::Both);
                return;
            }
            held.clear();
        }
    }
}

/// A directory of the unprivileged user, with the shell that clears it away when its pipe is
/// closed: by the drop of this or by the end of the process.
struct Scratch {
    path: PathBuf,
    sweeper: Child,
}

impl Scratch {
    fn new() -> Self {
        let output = unprivileged("mktemp")
            .args(["-d", "-p", "/tmp"])
            .output()
            .unwrap();
        let path = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        assert!(
            path.is_dir(),
            "mktemp: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let sweep = r#"
            trap '' INT TERM HUP
            read -r end_of_pipe
            if [ -f "$1/data/postmaster.pid" ]; then
                kill -CONT "$(head -n 1 "$1/data/postmaster.pid")"
                "$2" -D "$1/data" -m immediate -w stop > /dev/null 2>&1
            fi
            [ -f "$1/pgbouncer.pid" ] && kill "$(cat "$1/pgbouncer.pid")"
            rm -rf "$1""#;
        let sweeper = unprivileged("sh")
            .args(["-c", sweep, "sweeper"])
            .arg(&path)
            .arg(server_program("pg_ctl"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { path, sweeper }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// `program` as a user that PostgreSQL accepts: root may not run it.
fn unprivileged(program: impl AsRef<Path>) -> Command {
    let program = program.as_ref();
    let root = fs::metadata("/proc/self")
        .map(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
        .unwrap_or(false);
    let mut command = if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Writes a file that the unprivileged user owns and nobody else reads, as PostgreSQL wants its
/// keys.
fn write(file: &Path, content: &str) {
    let mut command = unprivileged("sh");
    command
        .args(["-c", "umask 077 && cat > \"$1\"", "sh"])
        .arg(file);
    let mut cat = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = cat.stdin.take().unwrap();
    stdin.write_all(content.as_bytes()).unwrap();
    drop(stdin);
    assert!(cat.wait().unwrap().success());
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn server_command(program: &str) -> Command {
    unprivileged(server_program(program))
}

/// The newest installed server's `program`.
fn server_program(program: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path().join("bin").join(program))
                .collect()
        })
        .unwrap_or_default();
    versions.retain(|path| path.exists());
    versions.sort();
    versions
        .pop()
        .expect("these tests need a PostgreSQL server: apt-get install postgresql")
}

/// Runs a command to its end, with its output kept from the pipes that a server it starts would
/// hold open.
fn succeed(command: &mut Command) {
    let started = Instant::now();
    let status = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command:?} failed: {status}");
    assert!(
        started.elapsed() < LIMIT,
        "{command:?} took {:?}",
        started.elapsed()
    );
}
