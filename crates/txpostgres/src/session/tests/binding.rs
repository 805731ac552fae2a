//! Passwords that are bound to a TLS channel, on a real server, and somebody between who would take
//! that away.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
};

use pg_cluster::TemporaryCluster;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConnection, StreamOwned};
use sql::{ChannelBinding, ConnectionSettings, Error, Password, Server, SslMode};

use super::client::{Client, USER, login, new_server, tcp, unix};

const WITH_PLUS: &[u8] = b"SCRAM-SHA-256-PLUS\0";

/// A channel whose server offers less than it has.
struct Downgraded(StreamOwned<ClientConnection, TcpStream>);

impl Read for Downgraded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        let offer = buffer[..count]
            .windows(WITH_PLUS.len())
            .position(|part| part == WITH_PLUS);
        let Some(at) = offer else {
            return Ok(count);
        };
        buffer.copy_within(at + WITH_PLUS.len()..count, at);
        buffer[4] -= WITH_PLUS.len() as u8;
        Ok(count - WITH_PLUS.len())
    }
}

impl Write for Downgraded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A server with TLS, and the hash of its certificate by SHA-256, as its signature is.
fn encrypting() -> (TemporaryCluster, Vec<u8>) {
    let server = new_server("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    server.write_file("server.crt", &certificate.pem()).unwrap();
    server
        .write_file("server.key", &key.serialize_pem())
        .unwrap();
    server
        .set("ssl = on\nssl_cert_file = '../server.crt'\nssl_key_file = '../server.key'\n")
        .unwrap();
    server.start().unwrap();
    let mut admin = Client::open(Box::new(unix(&server)), login(USER), 0, Arc::default()).unwrap();
    admin.all(&["CREATE ROLE bound LOGIN PASSWORD 'secret'"]);
    let bytes: Vec<u8> = certificate.der().to_vec();
    let hash = sql::Statement::new("SELECT sha256($1)", sql::params![bytes]);
    let hash = super::client::first(&admin.job(hash).unwrap());
    (server, hash)
}

fn channel(server: &TemporaryCluster) -> StreamOwned<ClientConnection, TcpStream> {
    let mut socket = tcp(server);
    let [a, b, c, d] = 80_877_103_u32.to_be_bytes();
    socket.write_all(&[0, 0, 0, 8, a, b, c, d]).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    let place = Server {
        host: "localhost".to_owned(),
        address: None,
        port: server.port(),
    };
    let mut settings = ConnectionSettings::new(place, "postgres", "bound");
    settings.sslmode = Some(SslMode::Require);
    let (_, config) = settings.tls().read().unwrap();
    let name = "localhost".try_into().unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, socket)
}

#[test]
fn a_password_is_bound_to_the_channel_and_nobody_between_can_change_that() {
    let (server, hash) = encrypting();
    let try_login = |is_cut: bool, binding: Option<Vec<u8>>, wanted| -> Result<(), Error> {
        let mut login = login("bound");
        login.password = Some(Password::new("secret"));
        (login.is_encrypted, login.binding, login.channel_binding) = (true, binding, wanted);
        let channel = channel(&server);
        let socket: Box<dyn super::client::Socket> = if is_cut {
            Box::new(Downgraded(channel))
        } else {
            Box::new(channel)
        };
        let mut client = Client::open(socket, login, 8, Arc::default())?;
        assert_eq!(client.value::<String>("SELECT current_user::text"), "bound");
        Ok(())
    };
    use ChannelBinding::{Disable, Prefer, Require};
    let (right, wrong) = (Some(hash), Some(vec![7; 32]));
    for wanted in [Prefer, Require] {
        try_login(false, right.clone(), wanted).unwrap();
        // Somebody between has another certificate.
        let error = try_login(false, wrong.clone(), wanted).unwrap_err();
        assert!(error.to_string().contains("channel binding"), "{error}");
    }
    try_login(false, None, Prefer).unwrap();
    try_login(false, wrong, Disable).unwrap();
    try_login(true, None, Prefer).unwrap();
    // Somebody between has cut the offer: the server notices, or this side.
    let error = try_login(true, right.clone(), Prefer).unwrap_err();
    assert!(error.sqlstate().is_some(), "{error}");
    let error = try_login(true, right, Require).unwrap_err();
    assert!(
        error.to_string().contains("did not use channel binding"),
        "{error}"
    );
}
