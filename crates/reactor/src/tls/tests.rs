//! TLS with real sockets and real certificates, both ends on reactors or one end of rustls' own.

mod pieces;
mod start_tls;

use std::{
    io::{Read, Write},
    net::{self, Shutdown},
    os::unix,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use mio::net::{TcpStream, UnixStream};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::{
    RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    version::{TLS12, TLS13},
};

use super::*;
use crate::{
    Mailbox, Stream,
    scripted::{Boxed, PATIENCE, Scripted, Served, Told, listening, listening_in, pattern, run},
};

/// An authority, another one that signed nothing, and the server's certificate.
struct Certificates {
    authority: CertificateDer<'static>,
    stranger: CertificateDer<'static>,
    server: CertificateDer<'static>,
    server_key: Vec<u8>,
}

fn certificates() -> &'static Certificates {
    static MADE: OnceLock<Certificates> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().unwrap();
        let stranger_key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params.clone(), key);
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "stranger");
        let stranger = params.self_signed(&stranger_key).unwrap().der().clone();
        let server_key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&server_key, &issuer).unwrap();
        Certificates {
            authority,
            stranger,
            server: server.der().clone(),
            server_key: server_key.serialize_der(),
        }
    })
}

fn server_config() -> Arc<ServerConfig> {
    let made = certificates();
    let key = PrivatePkcs8KeyDer::from(made.server_key.clone()).into();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.server.clone()], key);
    Arc::new(config.unwrap())
}

fn client_config_with(
    authority: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let config = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn client_config() -> Arc<ClientConfig> {
    client_config_with(&certificates().authority, &[&TLS13, &TLS12])
}

fn localhost() -> ServerName<'static> {
    "localhost".try_into().unwrap()
}

fn server_layer(protocol: Boxed) -> Boxed {
    Box::new(Tls::server(server_config(), protocol).unwrap())
}

fn client_layer(protocol: Boxed) -> Boxed {
    Box::new(Tls::client(client_config(), localhost(), protocol).unwrap())
}

fn serve<F>(act: impl Fn() -> F + Send + 'static) -> Served
where
    F: FnMut(Told<'_>, &mut Io<'_>) + Send + 'static,
{
    run(listening_in(server_layer, act))
}

/// Sends back what it gets, and reads on only while little waits.
fn echo(told: Told<'_>, io: &mut Io<'_>) {
    if let Told::Bytes(bytes) = told {
        io.out().extend_from_slice(bytes);
    }
    io.pause_reading(io.unsent() > ECHO_LIMIT);
}

const ECHO_LIMIT: usize = 32 * 1024;

/// rustls' own blocking client.
fn blocking_client(
    socket: net::TcpStream,
    config: Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, net::TcpStream> {
    StreamOwned::new(ClientConnection::new(config, localhost()).unwrap(), socket)
}

/// A client's end on the reactor of `served` that does what `act` says. Gives what becomes of it.
fn dial<F>(
    mailbox: &Mailbox<u64>,
    socket: impl Into<Stream>,
    layer: impl Fn(Boxed) -> Boxed,
    act: F,
) -> mpsc::Receiver<Option<String>>
where
    F: FnMut(Told<'_>, &mut Io<'_>) + Send + 'static,
{
    let (lost, is_lost) = mpsc::channel();
    mailbox.adopt(socket, layer(Box::new(Scripted::new(act, lost))));
    is_lost
}

fn dial_tcp<F>(
    served: &Served,
    layer: impl Fn(Boxed) -> Boxed,
    act: F,
) -> mpsc::Receiver<Option<String>>
where
    F: FnMut(Told<'_>, &mut Io<'_>) + Send + 'static,
{
    let socket = TcpStream::connect(served.address).unwrap();
    dial(&served.mailbox, socket, layer, act)
}

/// Sends `message`, takes the echo of it, closes, and hands the echo over.
fn asking(
    message: Vec<u8>,
    done: mpsc::Sender<Vec<u8>>,
) -> impl FnMut(Told<'_>, &mut Io<'_>) + Send {
    let mut echoed = Vec::new();
    move |told, io| match told {
        Told::Open => io.out().extend_from_slice(&message),
        Told::Bytes(bytes) => {
            echoed.extend_from_slice(bytes);
            if echoed.len() >= message.len() {
                done.send(mem::take(&mut echoed)).unwrap();
                io.close();
            }
        }
        _ => {}
    }
}

#[test]
fn a_large_echo_to_a_slow_reader_is_whole_and_little_of_it_waits() {
    let most_unsent = Arc::new(AtomicUsize::new(0));
    let seen = most_unsent.clone();
    let served = serve(move || {
        let seen = seen.clone();
        move |told: Told<'_>, io: &mut Io<'_>| {
            echo(told, io);
            seen.fetch_max(io.unsent(), Ordering::Relaxed);
        }
    });
    let (done, is_done) = mpsc::channel();
    let sent = pattern(10 << 20);
    let mut ask = asking(sent.clone(), done);
    // It takes no more after each piece, until its deadline some time later.
    let lost = dial_tcp(&served, client_layer, move |told, io| match told {
        Told::Deadline => io.pause_reading(false),
        Told::Bytes(bytes) => {
            io.pause_reading(true);
            io.set_deadline(Some(io.now + Duration::from_micros(500)));
            ask(Told::Bytes(bytes), io);
        }
        told => ask(told, io),
    });
    let echoed = is_done.recv_timeout(PATIENCE).unwrap();
    assert!(echoed == sent, "{} of {}", echoed.len(), sent.len());
    assert_eq!(lost.recv_timeout(PATIENCE), Ok(None));
    assert_eq!(served.wait_for_loss(), None);
    // The limit of the protocol, a record of input, and what encrypting adds.
    let most = most_unsent.load(Ordering::Relaxed);
    assert!(most <= ECHO_LIMIT + 3 * MAX_RECORD, "{most} bytes waited");
}

#[test]
fn plaintext_that_waits_is_not_encrypted_before_the_kernel_takes_what_is() {
    let content = pattern(16 << 20);
    let expected = content.clone();
    let served = serve(move || {
        let content = content.clone();
        move |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::Open = told {
                io.out().extend_from_slice(&content);
                io.close();
            }
        }
    });
    let mut client = blocking_client(served.connect(), client_config());
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert!(all == expected, "{} of {}", all.len(), expected.len());
    drop(client);
    assert_eq!(served.wait_for_loss(), None);
}

#[test]
fn a_blocking_client_is_served_in_each_version_and_both_ends_close() {
    let (ended, has_ended) = mpsc::channel();
    let served = serve(move || {
        let ended = ended.clone();
        move |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::End = told {
                ended.send(()).unwrap();
                io.out().extend_from_slice(b", bye");
            }
            echo(told, io);
        }
    });
    for version in [&TLS12, &TLS13] {
        let config = client_config_with(&certificates().authority, &[version]);
        let mut client = blocking_client(served.connect(), config);
        client.write_all(b"hello").unwrap();
        let mut hello = [0; 5];
        client.read_exact(&mut hello).unwrap();
        client.conn.send_close_notify();
        client.flush().unwrap();
        has_ended.recv_timeout(PATIENCE).unwrap();
        // An end that had not sent close_notify would be an error here.
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert_eq!((&hello, rest.as_slice()), (b"hello", &b", bye"[..]));
        drop(client);
        assert_eq!(served.wait_for_loss(), None);
    }
}

#[test]
fn a_certificate_of_a_stranger_is_refused_and_both_ends_learn_the_mend() {
    let served = serve(|| echo);
    let config = client_config_with(&certificates().stranger, &[&TLS13]);
    let layer = |protocol| -> Boxed {
        Box::new(Tls::client(config.clone(), localhost(), protocol).unwrap())
    };
    let lost = dial_tcp(&served, layer, |_, _| {});
    let error = lost.recv_timeout(PATIENCE).unwrap().unwrap();
    assert!(error.contains("Add the authority that signed"), "{error}");
    let error = served.wait_for_loss().unwrap();
    assert!(error.contains("Add it there to the trusted"), "{error}");

    let other_name = ServerName::try_from("elsewhere.example").unwrap();
    let layer = |protocol| -> Boxed {
        Box::new(Tls::client(client_config(), other_name.clone(), protocol).unwrap())
    };
    let lost = dial_tcp(&served, layer, |_, _| {});
    let error = lost.recv_timeout(PATIENCE).unwrap().unwrap();
    assert!(error.contains("a certificate for this name"), "{error}");
}

#[test]
fn plain_text_is_recognised_at_both_ends() {
    let served = serve(|| echo);
    let mut plain = served.connect();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let error = served.wait_for_loss().unwrap();
    assert!(error.contains("speaks plain text"), "{error}");
    drop(plain);

    let served = run(listening(|| {
        |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::Bytes(_) = told {
                io.out()
                    .extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                io.close();
            }
        }
    }));
    let lost = dial_tcp(&served, client_layer, |_, _| {});
    let error = lost.recv_timeout(PATIENCE).unwrap().unwrap();
    assert!(error.contains("speaks plain text"), "{error}");
}

#[test]
fn an_end_without_close_notify_is_told_as_truncation() {
    let (ended, has_ended) = mpsc::channel();
    let served = serve(move || {
        let ended = ended.clone();
        move |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::End = told {
                ended.send(()).unwrap();
            }
            echo(told, io);
        }
    });
    let mut client = blocking_client(served.connect(), client_config());
    client.write_all(b"hello").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    client.sock.shutdown(Shutdown::Write).unwrap();
    let error = served.wait_for_loss().unwrap();
    assert!(error.contains("without TLS close_notify"), "{error}");
    assert!(has_ended.try_recv().is_err(), "it is no end");

    let gone = served.connect();
    gone.shutdown(Shutdown::Write).unwrap();
    let error = served.wait_for_loss().unwrap();
    assert!(error.contains("during the TLS handshake"), "{error}");
}

#[test]
fn many_connections_are_served_at_once() {
    const CONNECTIONS: usize = 200;
    let served = serve(|| echo);
    let (done, is_done) = mpsc::channel();
    let lost: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let ask = asking(n.to_be_bytes().repeat(1000), done.clone());
            dial_tcp(&served, client_layer, ask)
        })
        .collect();
    let mut echoed: Vec<_> = (0..CONNECTIONS)
        .map(|_| is_done.recv_timeout(PATIENCE).unwrap())
        .collect();
    echoed.sort();
    for (n, echoed) in echoed.iter().enumerate() {
        assert!(*echoed == n.to_be_bytes().repeat(1000), "{n}");
    }
    for lost in lost {
        assert_eq!(lost.recv_timeout(PATIENCE), Ok(None));
        assert_eq!(served.wait_for_loss(), None);
    }
}

#[test]
fn tls_runs_over_a_unix_socket() {
    let (client, server) = unix::net::UnixStream::pair().unwrap();
    let [client, server] = [client, server].map(|socket| {
        socket.set_nonblocking(true).unwrap();
        UnixStream::from_std(socket)
    });
    let served = run(listening(|| echo));
    let (done, is_done) = mpsc::channel();
    let server_lost = dial(&served.mailbox, server, server_layer, echo);
    let ask = asking(b"over a Unix socket".to_vec(), done);
    let client_lost = dial(&served.mailbox, client, client_layer, ask);
    let echoed = is_done.recv_timeout(PATIENCE).unwrap();
    assert_eq!(echoed, b"over a Unix socket");
    for lost in [server_lost, client_lost] {
        assert_eq!(lost.recv_timeout(PATIENCE), Ok(None));
    }
}

#[test]
fn records_in_one_read_wait_while_the_protocol_wants_none() {
    let (tell, told) = mpsc::channel();
    let served = serve(move || {
        let tell = tell.clone();
        let mut is_paused = true;
        move |told: Told<'_>, io: &mut Io<'_>| match told {
            Told::Open => tell.send((io.id, Vec::new())).unwrap(),
            Told::Bytes(bytes) => {
                tell.send((io.id, bytes.to_vec())).unwrap();
                io.pause_reading(is_paused);
            }
            Told::Mail(_) => {
                is_paused = false;
                io.pause_reading(false);
            }
            Told::End => tell.send((io.id, b"end".to_vec())).unwrap(),
            _ => {}
        }
    });
    let mut client = blocking_client(served.connect(), client_config());
    let (id, _) = told.recv_timeout(PATIENCE).unwrap();
    client.flush().unwrap();
    let records = [vec![1; 5000], vec![2; 5000], vec![3; 5000]];
    let mut bytes = Vec::new();
    for record in &records {
        client.conn.writer().write_all(record).unwrap();
    }
    client.conn.send_close_notify();
    while client.conn.wants_write() {
        client.conn.write_tls(&mut bytes).unwrap();
    }
    client.sock.write_all(&bytes).unwrap();
    let first = told.recv_timeout(PATIENCE).unwrap().1;
    // Another connection shows that the loop has been round.
    let mut other = blocking_client(served.connect(), client_config());
    other.write_all(b"other").unwrap();
    let (other_id, _) = told.recv_timeout(PATIENCE).unwrap();
    assert_ne!(other_id, id, "the first one is paused");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().1, b"other");
    served.mailbox.post(id, 0);
    let mut all = first;
    while all.len() < 15_003 {
        let (from, bytes) = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(from, id);
        all.extend(bytes);
    }
    assert_eq!(all, [records.concat(), b"end".to_vec()].concat());
}

#[test]
fn a_handshake_that_is_not_completed_ends_the_connection() {
    let opened = Instant::now();
    let (_, served) = listening(|| echo);
    let (lost, is_lost) = mpsc::channel();
    let mut tls = Tls::server(server_config(), Box::new(Scripted::new(echo, lost))).unwrap();
    let socket = TcpStream::connect(served.address).unwrap().into();
    let (mut output, mut requested) = Default::default();
    let mut io = Io {
        id: crate::ConnectionId(crate::table::Key {
            index: 0,
            generation: 0,
        }),
        now: opened,
        socket: &socket,
        unsent_below: 0,
        is_blocked: false,
        output: &mut output,
        requested: &mut requested,
    };
    tls.on_open(&mut io);
    io.now = opened + HANDSHAKE_TIMEOUT;
    assert_eq!(io.requested.deadline, Some(io.now));
    tls.on_deadline(&mut io);
    assert!(io.requested.ending == Ending::WhenFlushed);
    tls.on_lost();
    let error = is_lost.recv().unwrap().unwrap();
    assert!(error.contains("TLS handshake in time"), "{error}");
}
