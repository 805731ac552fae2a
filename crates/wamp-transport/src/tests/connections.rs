//! Who gets a place where places are few, and who has to give way.

use std::net::IpAddr;

use super::*;
use crate::connection_limits::{Admission, Limit, Place};

fn limits(max_connections: usize, per_address: AddressLimit) -> ConnectionLimits {
    ConnectionLimits {
        max_connections,
        per_address,
    }
}

/// Takes places for this address until there is none.
fn take_all(connections: &Connections, address: &str) -> (Vec<Place>, Limit) {
    let address: IpAddr = address.parse().unwrap();
    let mut places = Vec::new();
    loop {
        match connections.admit(address, Instant::now()).0 {
            Admission::Admitted(place) => places.push(place),
            Admission::Refused(limit) => return (places, limit),
            other @ Admission::InsteadOf(..) => panic!("nobody can go: {other:?}"),
        }
    }
}

#[test]
fn an_address_has_half_of_what_others_leave() {
    let connections = Connections::new(limits(200, AddressLimit::Share));
    for (address, share) in [
        ("192.0.2.1", 100),
        ("192.0.2.2", 50),
        ("192.0.2.3", 25),
        // What is small is no share.
        ("192.0.2.4", 16),
    ] {
        let (places, limit) = take_all(&connections, address);
        assert_eq!((places.len(), limit), (share, Limit::Address), "{address}");
    }
    let (places, limit) = take_all(&connections, "192.0.2.5");
    assert_eq!((places.len(), limit), (9, Limit::Node));
    for &place in &places {
        connections.leave(place, "192.0.2.5".parse().unwrap());
    }
    let stats = connections.stats();
    assert_eq!((stats.open, stats.refused), (191, 5));
    assert_eq!(take_all(&connections, "192.0.2.5").0.len(), 9);
}

#[test]
fn an_address_may_have_what_is_written() {
    for (per_address, most) in [(AddressLimit::Fixed(3), 3), (AddressLimit::None, 8)] {
        let connections = Connections::new(limits(8, per_address));
        assert_eq!(take_all(&connections, "192.0.2.1").0.len(), most);
    }
}

#[test]
fn a_network_of_version_6_is_one_address_and_a_mapped_one_is_of_version_4() {
    let connections = Connections::new(limits(100, AddressLimit::Fixed(2)));
    for (address, left) in [
        ("2001:db8:0:1::1", 2),
        ("2001:db8:0:1:ffff::9", 0),
        ("2001:db8:0:2::1", 2),
        ("::ffff:192.0.2.1", 2),
        ("192.0.2.1", 0),
    ] {
        assert_eq!(take_all(&connections, address).0.len(), left, "{address}");
    }
}

#[test]
fn a_limit_that_is_reached_is_told_once_in_a_while() {
    let connections = Connections::new(limits(1, AddressLimit::None));
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let begin = Instant::now();
    connections.admit(address, begin);
    let told = |seconds| {
        let now = begin + Duration::from_secs(seconds);
        let (admission, reached) = connections.admit(address, now);
        assert_eq!(admission, Admission::Refused(Limit::Node));
        reached.is_some()
    };
    assert_eq!(
        [0, 1, 59, 60, 61].map(told),
        [true, false, false, true, false]
    );
}

/// Whether the node has closed this connection.
fn is_closed(socket: &TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let read = (&mut &*socket).read(&mut [0]);
    socket.set_nonblocking(false).unwrap();
    !matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

impl Served {
    fn wait_until_open(&self, open: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.connections.stats().open != open {
            assert!(Instant::now() < deadline, "{:?}", self.connections.stats());
            thread::yield_now();
        }
    }

    fn is_refused(&self, path: &str) -> String {
        let mut socket = self.connect();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nretry-after: 10\r\n"), "{answer}");
        answer
    }
}

#[test]
fn who_has_no_session_gives_way_the_oldest_first() {
    let served = serve_within(limits(3, AddressLimit::None), options(), PATIENCE);
    let mut session = served.join();
    let idle = [served.connect(), served.connect()];
    served.wait_until_open(3);
    // Here is the room of the first, and of the second.
    let half_open = served.open();
    let mut second = served.join();
    served.wait_until_open(3);
    assert!(idle.iter().all(is_closed));
    assert!(!is_closed(half_open.0.get_ref()));
    // Then of the WebSocket without a session.
    let mut third = served.join();
    served.wait_until_open(3);
    assert!(is_closed(half_open.0.get_ref()));
    // Sessions stay.
    assert!(served.is_refused("/ws").contains("max_connections"));
    assert_eq!(served.connections.stats().closed_for_room, 3);
    assert_eq!(served.connections.stats().refused, 1);
    for client in [&mut session, &mut second, &mut third] {
        client.send(&json!([32, 1, {}, "com.example.topic"]));
        assert_eq!(client.receive()[0], 33);
    }
    // One that ends makes room.
    drop(third);
    served.wait_until(|stats| stats.sessions == 2);
    served.wait_until_open(2);
    served.join();
}

#[test]
fn an_address_closes_its_own_connections_and_not_those_of_others() {
    let served = serve_within(limits(100, AddressLimit::Fixed(2)), options(), PATIENCE);
    let first = served.connect();
    let _session = served.join();
    served.wait_until_open(2);
    let _second = served.join();
    served.wait_until_open(2);
    assert!(is_closed(&first));
    let answer = served.is_refused("/ws");
    assert!(answer.contains("max_connections_per_address"), "{answer}");
}

#[test]
fn many_that_are_refused_at_once_are_answered_or_closed() {
    let served = serve_within(limits(1, AddressLimit::None), options(), PATIENCE);
    let mut session = served.join();
    let silent: Vec<_> = (0..40).map(|_| served.connect()).collect();
    for socket in &silent[20..] {
        let mut answer = Vec::new();
        let _ = (&mut &*socket).read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 503 "));
    }
    assert_eq!(served.connections.stats().open, 1);
    session.send(&json!([32, 1, {}, "com.example.topic"]));
    assert_eq!(session.receive()[0], 33);
}
