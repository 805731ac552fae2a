//! A protocol whose behaviour each test writes itself, and a reactor that serves it. For tests.

use std::{
    io::{self, Read},
    net::{self, SocketAddr},
    ops::ControlFlow,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use mio::net::TcpListener;

use super::{Accepted, Io, Mailbox, Protocol, Reactor};

/// How long anything may take before its test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a protocol is told.
pub(crate) enum Told<'a> {
    Open,
    Bytes(&'a [u8]),
    Again,
    End,
    Mail(u64),
    Deadline,
    Flushed,
}

/// A protocol that does what a closure says, and tells of its loss.
pub(crate) struct Scripted<F> {
    act: F,
    lost: mpsc::Sender<Option<String>>,
    error: Option<String>,
}

impl<F> Scripted<F> {
    /// `lost` gets the text of the error that the protocol was told of, if there was one.
    pub(crate) fn new(act: F, lost: mpsc::Sender<Option<String>>) -> Self {
        Self {
            act,
            lost,
            error: None,
        }
    }
}

impl<F: FnMut(Told<'_>, &mut Io<'_>) + Send> Protocol<u64> for Scripted<F> {
    fn on_open(&mut self, io: &mut Io<'_>) {
        (self.act)(Told::Open, io);
    }
    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        (self.act)(Told::Bytes(bytes), io);
    }
    fn on_again(&mut self, io: &mut Io<'_>) {
        (self.act)(Told::Again, io);
    }
    fn on_end(&mut self, io: &mut Io<'_>) {
        (self.act)(Told::End, io);
        io.close();
    }
    fn on_mail(&mut self, mail: u64, io: &mut Io<'_>) {
        (self.act)(Told::Mail(mail), io);
    }
    fn on_deadline(&mut self, io: &mut Io<'_>) {
        (self.act)(Told::Deadline, io);
    }
    fn on_flushed(&mut self, io: &mut Io<'_>) {
        (self.act)(Told::Flushed, io);
    }
    fn on_error(&mut self, error: &io::Error) {
        self.error = Some(error.to_string());
    }
    fn on_lost(&mut self) {
        // The test may have seen enough.
        let _ = self.lost.send(self.error.take());
    }
}

/// A reactor on a thread of its own, and what is needed to talk to it.
pub(crate) struct Served {
    pub(crate) mailbox: Mailbox<u64>,
    pub(crate) address: SocketAddr,
    pub(crate) lost: mpsc::Receiver<Option<String>>,
    pub(crate) thread: Option<JoinHandle<io::Result<()>>>,
}

/// A protocol on its own or with layers around it.
pub(crate) type Boxed = Box<dyn Protocol<u64>>;

/// A reactor with a listener whose connections do what `act` makes for each says.
pub(crate) fn listening<F>(act: impl Fn() -> F + Send + 'static) -> (Reactor<u64>, Served)
where
    F: FnMut(Told<'_>, &mut Io<'_>) + Send + 'static,
{
    listening_in(|protocol| protocol, act)
}

/// The same, each protocol in the layer that `layer` puts around it.
pub(crate) fn listening_in<F>(
    layer: impl Fn(Boxed) -> Boxed + Send + 'static,
    act: impl Fn() -> F + Send + 'static,
) -> (Reactor<u64>, Served)
where
    F: FnMut(Told<'_>, &mut Io<'_>) + Send + 'static,
{
    let mut reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    let socket = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let (lost_sender, lost) = mpsc::channel();
    let adopting = mailbox.clone();
    let accept = move |accepted: Accepted| {
        let Accepted::Connection(socket, _) = accepted else {
            panic!("nothing is accepted: {accepted:?}");
        };
        let protocol = Scripted::new(act(), lost_sender.clone());
        adopting.adopt(socket, layer(Box::new(protocol)));
        ControlFlow::Continue(())
    };
    reactor.listen(socket, Box::new(accept)).unwrap();
    let served = Served {
        mailbox,
        address,
        lost,
        thread: None,
    };
    (reactor, served)
}

pub(crate) fn serve<F>(act: impl Fn() -> F + Send + 'static) -> Served
where
    F: FnMut(Told<'_>, &mut Io<'_>) + Send + 'static,
{
    run(listening(act))
}

/// Runs the reactor on a thread of its own.
pub(crate) fn run((reactor, mut served): (Reactor<u64>, Served)) -> Served {
    served.thread = Some(thread::spawn(move || reactor.run()));
    served
}

impl Served {
    pub(crate) fn connect(&self) -> net::TcpStream {
        let client = net::TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// The error the protocol was told of before its loss.
    pub(crate) fn wait_for_loss(&self) -> Option<String> {
        self.lost
            .recv_timeout(PATIENCE)
            .expect("the protocol is told of the loss")
    }

    pub(crate) fn stop(&mut self) {
        self.mailbox.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop();
        }
    }
}

pub(crate) fn read_to_end(mut client: net::TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    all
}

/// Bytes in which a gap or a change of order shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// Keeps what it reads and echoes one byte of it an iteration, reading paused.
pub(crate) fn piecemeal() -> impl FnMut(Told<'_>, &mut Io<'_>) + Send {
    let mut kept = Vec::new();
    let mut last = None;
    move |told, io| match told {
        Told::Bytes(bytes) => {
            assert!(kept.is_empty(), "read meanwhile");
            kept.extend_from_slice(bytes);
            kept.reverse();
            io.pause_reading(true);
            io.call_again();
        }
        Told::Again => {
            assert_ne!(last.replace(io.now), Some(io.now), "twice in an iteration");
            io.out().extend(kept.pop());
            if kept.is_empty() {
                io.pause_reading(false);
            } else {
                io.call_again();
            }
        }
        Told::End => assert!(kept.is_empty(), "told meanwhile"),
        _ => {}
    }
}
