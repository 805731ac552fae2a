//! A relay before a PostgreSQL that counts round trips: how often its clients speak after they were
//! answered. Knows of the protocol only what asks whether the server is there.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// What a pool asks a connection that was idle for a while, however short: an empty query, or
/// `cp_good_sql`. A slow machine has more of these, so they are not counted.
const LOOKS: [&[u8]; 2] = [b"Q\0\0\0\x05\0", b"Q\0\0\0\x0dSELECT 1\0"];

/// A relay. It serves as long as the test's process.
pub struct RoundTrips {
    port: u16,
    count: Arc<AtomicU64>,
}

impl RoundTrips {
    /// Relays to this port of 127.0.0.1.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("its address").port();
        let count = Arc::new(AtomicU64::new(0));
        let counting = count.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)));
                let Ok(server) = server else { continue };
                relay(&client, &server, &counting);
            }
        });
        Self { port: own, count }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many there were so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
}

/// Copies both ways, each on a thread of its own.
fn relay(client: &TcpStream, server: &TcpStream, count: &Arc<AtomicU64>) {
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be shared");
    for stream in [client, server] {
        stream.set_nodelay(true).expect("a socket takes options");
    }
    // Whether the server has had the last word.
    let is_answered = Arc::new(Mutex::new(true));
    let (from, to, count, last) = (
        clone(client),
        clone(server),
        count.clone(),
        is_answered.clone(),
    );
    thread::spawn(move || {
        copy(from, to, |piece| {
            if LOOKS.contains(&piece) {
                return;
            }
            let mut is_answered = last.lock().expect("nobody panics with it");
            if std::mem::take(&mut *is_answered) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
    });
    let (from, to) = (clone(server), clone(client));
    thread::spawn(move || {
        copy(from, to, |_| {
            *is_answered.lock().expect("nobody panics with it") = true;
        });
    });
}

/// Copies until either end is closed, and notes each piece before it goes on.
fn copy(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        note(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other end may have closed it before.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
