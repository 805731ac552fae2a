//! Owns the choice of a TCP port and keeps it from other programs; never listens on it.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use socket2::{Domain, Socket, Type};

use super::{Error, tried};

/// A TCP port of 127.0.0.1 for a program that is told its port, as PostgreSQL and PgBouncer are.
///
/// A socket that is bound and does not listen holds the port. With `SO_REUSEADDR` on both sockets
/// (see socket(7)) the program can listen on it all the same, and again after each restart. The
/// system gives the port to nobody who asks for any, and meanwhile refuses who connects to it.
#[derive(Debug)]
pub struct ReservedPort {
    _socket: Socket,
    number: u16,
}

impl ReservedPort {
    /// Reserves a port that nobody uses, until this value is dropped.
    ///
    /// # Errors
    /// The system has no port or no descriptor left.
    pub fn new() -> Result<Self, Error> {
        let reserve = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            let any = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
            socket.bind(&any.into())?;
            let address = socket.local_addr()?.as_socket_ipv4();
            let number = address.expect("it was bound to an IPv4 address").port();
            Ok(Self {
                _socket: socket,
                number,
            })
        };
        reserve().map_err(tried("cannot find a free port on 127.0.0.1"))
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read, Write},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn a_reserved_port_refuses_clients_until_a_server_listens_and_again_after_it() {
        let port = ReservedPort::new().unwrap();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port.number()));
        for _ in 0..3 {
            assert_eq!(connect().unwrap_err().kind(), ErrorKind::ConnectionRefused);
            // As PostgreSQL does, it listens with SO_REUSEADDR.
            let server = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).unwrap();
            let mut client = connect().unwrap();
            let (mut accepted, _) = server.accept().unwrap();
            accepted.write_all(b"yes").unwrap();
            drop((server, accepted));
            let mut said = String::new();
            client.read_to_string(&mut said).unwrap();
            assert_eq!(said, "yes");
        }
    }

    #[test]
    fn nobody_who_asks_for_any_port_gets_a_reserved_one() {
        let port = ReservedPort::new().unwrap();
        let others: Vec<_> = (0..500)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let mut ports = others
            .iter()
            .map(|other| other.local_addr().unwrap().port());
        assert!(ports.all(|other| other != port.number()));
    }
}
