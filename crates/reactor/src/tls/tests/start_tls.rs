//! A protocol that begins in plain text and puts TLS around the rest of itself.

use super::*;

/// Begins in plain text: one `?` of the client, one `S` of the server, then TLS.
struct StartsTls {
    expected: u8,
    greeting: Option<u8>,
    answer: Option<u8>,
    tls: Boxed,
    has_begun: bool,
}

impl Protocol<u64> for StartsTls {
    fn on_open(&mut self, io: &mut Io<'_>) {
        if let Some(greeting) = self.greeting {
            io.out().push(greeting);
        }
    }
    fn on_bytes(&mut self, mut bytes: &[u8], io: &mut Io<'_>) {
        if !mem::replace(&mut self.has_begun, true) {
            assert_eq!(bytes[0], self.expected);
            bytes = &bytes[1..];
            io.out().extend(self.answer);
            self.tls.on_open(io);
        }
        self.tls.on_bytes(bytes, io);
    }
    fn on_again(&mut self, io: &mut Io<'_>) {
        self.tls.on_again(io);
    }
    fn on_end(&mut self, io: &mut Io<'_>) {
        self.tls.on_end(io);
    }
    fn on_mail(&mut self, mail: u64, io: &mut Io<'_>) {
        self.tls.on_mail(mail, io);
    }
    fn on_deadline(&mut self, io: &mut Io<'_>) {
        self.tls.on_deadline(io);
    }
    fn on_flushed(&mut self, io: &mut Io<'_>) {
        if self.has_begun {
            self.tls.on_flushed(io);
        }
    }
    fn on_error(&mut self, error: &io::Error) {
        self.tls.on_error(error);
    }
    fn on_lost(&mut self) {
        self.tls.on_lost();
    }
}

#[test]
fn tls_begins_in_the_middle_of_a_stream() {
    let server = |protocol| -> Boxed {
        Box::new(StartsTls {
            expected: b'?',
            greeting: None,
            answer: Some(b'S'),
            tls: server_layer(protocol),
            has_begun: false,
        })
    };
    let client = |protocol| -> Boxed {
        Box::new(StartsTls {
            expected: b'S',
            greeting: Some(b'?'),
            answer: None,
            tls: client_layer(protocol),
            has_begun: false,
        })
    };
    let served = run(listening_in(server, || echo));
    let (done, is_done) = mpsc::channel();
    let lost = dial_tcp(&served, client, asking(b"after all".to_vec(), done));
    assert_eq!(is_done.recv_timeout(PATIENCE).unwrap(), b"after all");
    assert_eq!(lost.recv_timeout(PATIENCE), Ok(None));
    assert_eq!(served.wait_for_loss(), None);

    // The question and the first bytes of TLS come in one piece.
    let mut socket = served.connect();
    let mut session = ClientConnection::new(client_config(), localhost()).unwrap();
    let mut first = vec![b'?'];
    while session.wants_write() {
        session.write_tls(&mut first).unwrap();
    }
    socket.write_all(&first).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    let mut client = StreamOwned::new(session, socket);
    client.write_all(b"at once").unwrap();
    let mut echoed = [0; 7];
    client.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"at once");
}

/// Tells which certificate the other end has shown.
struct Secured(mpsc::Sender<Option<Vec<u8>>>);

impl Protocol<u64> for Secured {
    fn on_open(&mut self, io: &mut Io<'_>) {
        io.out().extend_from_slice(b"x");
    }
    fn on_secured(&mut self, certificate: Option<&[u8]>, _: &mut Io<'_>) {
        self.0.send(certificate.map(<[u8]>::to_vec)).unwrap();
    }
    fn on_bytes(&mut self, _: &[u8], io: &mut Io<'_>) {
        io.close();
    }
    fn on_mail(&mut self, _: u64, _: &mut Io<'_>) {}
    fn on_deadline(&mut self, _: &mut Io<'_>) {}
    fn on_lost(&mut self) {}
}

#[test]
fn the_protocol_is_told_once_with_the_certificate_of_the_other_end() {
    let served = run(listening_in(server_layer, || echo));
    let (told, tells) = mpsc::channel();
    let socket = TcpStream::connect(served.address).unwrap();
    let layer = client_layer(Box::new(Secured(told)));
    served.mailbox.adopt(socket, layer);
    let shown: Vec<_> = tells.iter().collect();
    assert_eq!(shown, [Some(certificates().server.to_vec())]);
}
