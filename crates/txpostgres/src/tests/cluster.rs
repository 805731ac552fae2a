//! Owns the PostgreSQL clusters of the tests and the I/O threads that their pools live on. Must not
//! know the pool.

use std::{
    sync::{Arc, OnceLock},
    thread,
};

use pg_cluster::{Shutdown, TemporaryCluster};
use reactor::{Mailbox, Reactor};
use sql::{ConnectionSettings, Server};

use crate::Reactors;

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

/// Two I/O threads that all pools of a test process share.
pub(crate) fn reactors() -> Reactors<()> {
    static MAILBOXES: OnceLock<Arc<[Mailbox<()>]>> = OnceLock::new();
    let mailboxes = MAILBOXES.get_or_init(|| [run(), run()].into());
    Reactors::new(mailboxes.clone(), || ())
}

/// So many I/O threads of one's own.
pub(crate) fn reactors_of(threads: usize) -> Reactors<()> {
    let mailboxes: Vec<_> = (0..threads).map(|_| run()).collect();
    Reactors::new(mailboxes, || ())
}

/// An I/O thread that runs as long as the test's process.
fn run() -> Mailbox<()> {
    let reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    thread::spawn(move || reactor.run().unwrap());
    mailbox
}

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

    /// Offers TLS with this certificate and its key, both PEM, from the next start or reload on.
    pub(crate) fn offer_tls(&self, certificate: &str, key: &str) {
        self.0.write_file("server.crt", certificate).unwrap();
        self.0.write_file("server.key", key).unwrap();
        self.0.set(&format!("{SETTINGS}{TLS}")).unwrap();
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

    pub(crate) fn stop(&self, how: Shutdown) {
        self.0.stop(how).unwrap();
    }

    pub(crate) fn restart(&self, how: Shutdown) {
        self.stop(how);
        self.start();
    }

    /// The process id of the postmaster.
    pub(crate) fn postmaster(&self) -> i32 {
        self.0.pid().expect("the server runs")
    }

    /// How to reach it through its Unix socket.
    pub(crate) fn settings(&self) -> ConnectionSettings {
        let host = self.0.socket_directory().display().to_string();
        ConnectionSettings::new(self.server(host), "postgres", USER)
    }

    /// How to reach it through TCP.
    pub(crate) fn tcp_settings(&self) -> ConnectionSettings {
        let server = self.server("127.0.0.1".to_owned());
        ConnectionSettings::new(server, "postgres", USER)
    }

    pub(crate) fn server(&self, host: String) -> Server {
        Server {
            host,
            address: None,
            port: self.port(),
        }
    }
}
