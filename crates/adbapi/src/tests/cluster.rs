//! Owns the PostgreSQL clusters of the tests, as these want them, and what stands between a pool
//! and a cluster. Knows nothing of the pool.

use std::{
    fmt::Write as _,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use pg_cluster::{ReservedPort, Shutdown, TemporaryCluster};

/// The superuser of every cluster.
const USER: &str = "app";
/// Everybody gets in.
const OPEN: &str = "local all,replication all trust\n\
                    host all,replication all all trust\n";
/// Every cluster has these; the tests open many connections.
const SETTINGS: &str = "max_connections = 200\nshared_buffers = 16MB\n";
const TLS: &str = "ssl = on\n\
                   ssl_cert_file = '../server.crt'\n\
                   ssl_key_file = '../server.key'\n";

/// One PostgreSQL server in a directory of its own, on a Unix socket and a loopback port that it
/// keeps. It goes when this is dropped, or when the test process ends.
pub(crate) struct Cluster(TemporaryCluster);

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
        static TEMPLATE: OnceLock<TemporaryCluster> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| TemporaryCluster::create(USER, None).unwrap());
        Self::set_up(template.copy().unwrap())
    }

    /// A running standby that follows `primary`.
    pub(crate) fn standby_of(primary: &Self) -> Self {
        let standby = Self::set_up(primary.0.standby().unwrap());
        standby.start();
        standby
    }

    fn set_up(cluster: TemporaryCluster) -> Self {
        cluster.set(SETTINGS).unwrap();
        cluster.set_access_rules(OPEN).unwrap();
        Self(cluster)
    }

    /// Makes a standby a primary.
    pub(crate) fn promote(&self) {
        self.client().execute("SELECT pg_promote()", &[]).unwrap();
    }

    /// Before the start: TCP connections need a password, the Unix socket needs none.
    pub(crate) fn ask_for_passwords_on_tcp(&self) {
        self.let_in("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
    }

    /// Offers TLS with this certificate and its key, both PEM, from the next start or reload on.
    pub(crate) fn offer_tls(&self, certificate: &str, key: &str) {
        self.0.write_file("server.crt", certificate).unwrap();
        self.0.write_file("server.key", key).unwrap();
        self.0.set(&format!("{SETTINGS}{TLS}")).unwrap();
    }

    /// With TLS, before the start: clients may show certificates of this authority.
    pub(crate) fn ask_for_certificates_of(&self, authority: &str) {
        self.0.write_file("root.crt", authority).unwrap();
        let settings = format!("{SETTINGS}{TLS}ssl_ca_file = '../root.crt'\n");
        self.0.set(&settings).unwrap();
    }

    /// Before the start: who gets in, as `pg_hba.conf` says it.
    pub(crate) fn let_in(&self, rules: &str) {
        self.0.set_access_rules(rules).unwrap();
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port()
    }

    pub(crate) fn start(&self) {
        self.0.start().unwrap();
    }

    /// `mode` is `fast` or `immediate`.
    pub(crate) fn stop(&self, mode: &str) {
        let how = match mode {
            "fast" => Shutdown::Fast,
            "immediate" => Shutdown::Immediate,
            other => panic!("no way to stop a server: {other}"),
        };
        self.0.stop(how).unwrap();
    }

    pub(crate) fn restart(&self, mode: &str) {
        self.stop(mode);
        self.start();
    }

    /// The process id of the postmaster.
    pub(crate) fn postmaster(&self) -> i32 {
        self.0.pid().expect("the server runs")
    }

    /// How to reach it through its Unix socket.
    pub(crate) fn config(&self) -> postgres::Config {
        let mut config = postgres::Config::new();
        config.host_path(self.0.socket_directory());
        config.port(self.port()).user(USER).dbname("postgres");
        config
    }

    /// How to reach it through TCP.
    pub(crate) fn tcp_config(&self) -> postgres::Config {
        config_at(self.port())
    }

    /// A connection beside the pool, to look at the server from outside.
    pub(crate) fn client(&self) -> postgres::Client {
        self.config().connect(postgres::NoTls).unwrap()
    }
}

/// A PgBouncer in transaction mode in front of a cluster: each transaction may get another session.
pub(crate) struct Bouncer {
    port: ReservedPort,
    shell: Child,
}

impl Bouncer {
    pub(crate) fn before(cluster: &Cluster, sessions: u32) -> Self {
        let program = Path::new("/usr/sbin/pgbouncer");
        assert!(
            program.exists(),
            "this test needs PgBouncer: apt-get install pgbouncer"
        );
        let port = ReservedPort::new().unwrap();
        let mut settings = String::new();
        write!(
            settings,
            "[databases]\n\
             postgres = host={} port={} user={USER}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = {sessions}\n",
            cluster.0.socket_directory().display(),
            cluster.port(),
            port.number()
        )
        .unwrap();
        let file = cluster.0.write_file("pgbouncer.ini", &settings).unwrap();
        // It ends with the shell's input, which only this process holds open.
        let script = r#""$1" -q "$2" & read -r end_of_pipe; kill $!; wait"#;
        let mut shell = cluster.0.command("sh");
        shell.args(["-c", script, "sh"]).arg(program).arg(file);
        let shell = shell.stdin(Stdio::piped()).spawn().unwrap();
        let bouncer = Self { port, shell };
        super::eventually("PgBouncer listens", || {
            TcpStream::connect(("127.0.0.1", bouncer.port.number())).is_ok()
        });
        bouncer
    }

    pub(crate) fn config(&self) -> postgres::Config {
        config_at(self.port.number())
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.shell.wait();
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
        let (server, holds_back) = (cluster.port(), network.holds_back.clone());
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
    config.host("127.0.0.1").port(port);
    config.user(USER).dbname("postgres");
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
