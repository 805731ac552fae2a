//! The poll loop with real sockets and a protocol whose behaviour each test writes itself.

mod cut_off;
mod lanes;

use std::{
    io::{ErrorKind, Read, Write},
    net::{self, Shutdown},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use mio::net::TcpStream;

use super::*;
use crate::{
    Context, Io,
    listeners::ACCEPTS_IN_A_ROW,
    scripted::{PATIENCE, Served, Told, listening, pattern, read_to_end, serve},
    table::Key,
};

#[test]
fn an_echo_that_pauses_reading_stays_small_and_loses_nothing() {
    const LIMIT: usize = 32 * 1024;
    let most_unsent = Arc::new(AtomicUsize::new(0));
    let seen = most_unsent.clone();
    let served = serve(move || {
        let seen = seen.clone();
        move |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::Bytes(bytes) = told {
                io.out().extend_from_slice(bytes);
            }
            seen.fetch_max(io.unsent(), Ordering::Relaxed);
            io.pause_reading(io.unsent() > LIMIT);
        }
    });
    let client = served.connect();
    let sent = pattern(8 << 20);
    let echoed = thread::scope(|scope| {
        let mut writing = &client;
        let bytes = &sent;
        scope.spawn(move || {
            writing.write_all(bytes).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        read_to_end(client.try_clone().unwrap())
    });
    assert!(echoed == sent, "{} of {}", echoed.len(), sent.len());
    let most = most_unsent.load(Ordering::Relaxed);
    assert!(most <= LIMIT + READ_BUFFER, "{most} bytes waited");
    assert_eq!(served.wait_for_loss(), None);
}

#[test]
fn output_larger_than_the_kernel_takes_arrives_whole_before_the_end() {
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
    assert!(read_to_end(served.connect()) == expected);
    assert_eq!(served.wait_for_loss(), None);
}

#[test]
fn the_last_words_reach_an_end_that_was_still_sending() {
    let served = serve(|| {
        |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::Bytes(_) = told {
                io.out().extend_from_slice(b"bye");
                io.close();
            }
        }
    });
    let mut client = served.connect();
    client.write_all(b"x").unwrap();
    assert_eq!(served.wait_for_loss(), None);
    // What is unread when a socket is closed makes the kernel reset the connection.
    client.write_all(&[0; 100_000]).unwrap();
    assert_eq!(read_to_end(client), b"bye");
}

#[test]
fn mail_arrives_in_order_from_many_threads_at_once() {
    const THREADS: u64 = 4;
    const MESSAGES: u64 = 10_000;
    let (opened, is_open) = mpsc::channel();
    let served = serve(move || {
        let opened = opened.clone();
        move |told: Told<'_>, io: &mut Io<'_>| match told {
            Told::Open => opened.send(io.id).unwrap(),
            Told::Mail(mail) => io.out().extend_from_slice(&mail.to_be_bytes()),
            _ => {}
        }
    });
    let mut client = served.connect();
    let id = is_open.recv_timeout(PATIENCE).unwrap();
    for thread in 0..THREADS {
        let mailbox = served.mailbox.clone();
        thread::spawn(move || (0..MESSAGES).for_each(|n| mailbox.post(id, thread << 32 | n)));
    }
    let mut next = [0; THREADS as usize];
    let mut message = [0; 8];
    for _ in 0..THREADS * MESSAGES {
        client.read_exact(&mut message).unwrap();
        let message = u64::from_be_bytes(message);
        let next = &mut next[(message >> 32) as usize];
        assert_eq!(message & 0xffff_ffff, *next);
        *next += 1;
    }
    // A message for who is gone reaches nobody, not even who has its place.
    drop(client);
    assert_eq!(served.wait_for_loss(), None);
    let mut other = served.connect();
    let other_id = is_open.recv_timeout(PATIENCE).unwrap();
    served.mailbox.post(id, 1);
    served.mailbox.post(other_id, 2);
    other.read_exact(&mut message).unwrap();
    assert_eq!(u64::from_be_bytes(message), 2);
}

#[test]
fn a_deadline_comes_when_it_was_set_for_last() {
    let served = serve(|| {
        let mut opened = None;
        let mut deadlines = 0;
        move |told: Told<'_>, io: &mut Io<'_>| match told {
            Told::Open => {
                opened = Some(io.now);
                // Postponed, then brought forward.
                for millis in [1, 60_000, 30] {
                    io.set_deadline(Some(io.now + Duration::from_millis(millis)));
                }
            }
            Told::Deadline => {
                deadlines += 1;
                let waited = opened.unwrap().elapsed();
                match deadlines {
                    1 if waited >= Duration::from_millis(25) => {
                        io.set_deadline(Some(io.now + Duration::from_millis(1)));
                    }
                    2 => {
                        io.set_deadline(Some(io.now));
                        io.set_deadline(None);
                        io.out().push(b'2');
                    }
                    _ => io.out().push(b'?'),
                }
            }
            Told::Bytes(_) => {
                io.out().push(b'.');
                io.close();
            }
            _ => {}
        }
    });
    let mut client = served.connect();
    let mut said = [0];
    client.read_exact(&mut said).unwrap();
    client.write_all(b"x").unwrap();
    assert_eq!((said, read_to_end(client).as_slice()), ([b'2'], &b"."[..]));
}

#[test]
fn a_deadline_that_is_over_is_met_once_an_iteration() {
    let (seen, each) = mpsc::channel();
    let served = serve(move || {
        let seen = seen.clone();
        move |told: Told<'_>, io: &mut Io<'_>| match told {
            Told::Open => io.set_deadline(Some(io.now)),
            Told::Deadline => {
                // The test may have seen enough.
                let _ = seen.send(io.now);
                io.set_deadline(Some(io.now));
            }
            _ => io.set_deadline(None),
        }
    });
    let mut client = served.connect();
    let iterations: Vec<_> = (0..10)
        .map(|_| each.recv_timeout(PATIENCE).unwrap())
        .collect();
    assert!(
        iterations.is_sorted_by(|one, next| one < next),
        "{iterations:?}"
    );
    // The others are served meanwhile.
    client.write_all(b"x").unwrap();
    while each.recv_timeout(Duration::from_millis(50)).is_ok() {}
}

#[test]
fn deadlines_that_move_to_and_fro_do_not_pile_up() {
    let (opened, is_open) = mpsc::channel();
    let (mut reactor, served) = listening(move || {
        let opened = opened.clone();
        move |told: Told<'_>, io: &mut Io<'_>| match told {
            Told::Open => opened.send(io.id).unwrap(),
            Told::Mail(seconds) => io.set_deadline(Some(io.now + Duration::from_secs(seconds))),
            _ => {}
        }
    });
    let _client = served.connect();
    let mut id = None;
    iterate_until(&mut reactor, |_| {
        id = is_open.try_recv().ok();
        id.is_some()
    });
    let id = id.unwrap();
    let mut now = Instant::now();
    for _ in 0..1000 {
        // A request a second: a while to send its answer, and a longer one to wait for the next.
        for seconds in [60, 75] {
            let connection = reactor.connection(id).unwrap();
            connection.call(now, |protocol, io| protocol.on_mail(seconds, io));
            reactor.after_call(id);
        }
        now += Duration::from_secs(1);
        reactor.meet_deadlines(now);
    }
    let deadlines = reactor.deadlines.len();
    assert!(deadlines <= 3, "{deadlines} of one connection");
}

#[test]
fn a_panic_costs_the_connection_it_happened_on() {
    let served = serve(|| {
        |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::Bytes(bytes) = told {
                assert_ne!(bytes, b"panic", "as the test wants it");
                io.out().extend_from_slice(bytes);
            }
        }
    });
    let (mut one, mut other) = (served.connect(), served.connect());
    one.write_all(b"panic").unwrap();
    assert_eq!(served.wait_for_loss(), None);
    let mut nothing = [0];
    match one.read(&mut nothing) {
        Ok(n) => assert_eq!(n, 0),
        Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
    }
    other.write_all(b"alive").unwrap();
    let mut echo = [0; 5];
    other.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"alive");
}

#[test]
fn more_connections_than_one_turn_accepts_are_served() {
    let served = serve(|| {
        |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::Open = told {
                io.out().push(b'!');
            }
        }
    });
    let clients: Vec<_> = (0..2 * ACCEPTS_IN_A_ROW + 1)
        .map(|_| served.connect())
        .collect();
    let mut greeting = [0];
    for mut client in clients {
        client.read_exact(&mut greeting).unwrap();
    }
}

#[test]
fn stopping_flushes_what_is_there_and_tells_everyone() {
    let (opened, is_open) = mpsc::channel();
    let mut served = serve(move || {
        let opened = opened.clone();
        move |told: Told<'_>, io: &mut Io<'_>| match told {
            Told::Open => opened.send(io.id).unwrap(),
            Told::Mail(_) => io.out().extend_from_slice(b"farewell"),
            _ => {}
        }
    });
    let clients = [served.connect(), served.connect()];
    for _ in &clients {
        let id = is_open.recv_timeout(PATIENCE).unwrap();
        served.mailbox.post(id, 1);
    }
    served.stop();
    for client in clients {
        assert_eq!(read_to_end(client), b"farewell");
        assert_eq!(served.wait_for_loss(), None);
    }
    // Whoever still has a mailbox finds nobody, and no harm in it.
    served.mailbox.wake();
    served.mailbox.stop();
}

#[test]
fn a_reactor_that_shuts_down_has_everyone_close_and_ends_with_the_last() {
    let (opened, is_open) = mpsc::channel();
    let mut served = serve(move || {
        let opened = opened.clone();
        move |told: Told<'_>, io: &mut Io<'_>| match told {
            Told::Open => opened.send(io.id).unwrap(),
            Told::Mail(_) => io.out().extend_from_slice(b"farewell"),
            _ => {}
        }
    });
    let clients = [served.connect(), served.connect()];
    for _ in &clients {
        let id = is_open.recv_timeout(PATIENCE).unwrap();
        served.mailbox.post(id, 1);
    }
    served.mailbox.shut_down();
    for client in clients {
        assert_eq!(read_to_end(client), b"farewell");
        assert_eq!(served.wait_for_loss(), None);
    }
    // Nobody has told it to stop.
    let thread = served.thread.take().unwrap();
    thread.join().unwrap().unwrap();
}

/// Sends on what it gets, from the reactor's own thread, and panics at 13.
struct Forwarder {
    mailbox: Mailbox<u64>,
    got: mpsc::Sender<(u64, bool)>,
}

impl Task<u64> for Forwarder {
    fn on_mail(&mut self, mail: u64, _: &mut Context<'_>) {
        assert_ne!(mail, 13, "as the test wants it");
        self.got.send((mail, self.mailbox.is_here())).unwrap();
    }
}

#[test]
fn tasks_get_their_mail_on_the_thread_and_what_is_posted_in_time_even_after_its_end() {
    let mut reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    let (got, gets) = mpsc::channel();
    let forwarder = |got: &mpsc::Sender<_>| {
        Box::new(Forwarder {
            mailbox: mailbox.clone(),
            got: got.clone(),
        })
    };
    let (other, _) = mpsc::channel();
    reactor.add_task(forwarder(&other));
    let id = reactor.add_task(forwarder(&got));
    let running = thread::spawn(move || reactor.run().unwrap());
    for mail in [1, 13, 2] {
        mailbox.post_to_task(id, mail).unwrap();
    }
    for mail in [1, 2] {
        assert_eq!(gets.recv_timeout(PATIENCE).unwrap(), (mail, true));
    }
    assert!(!mailbox.is_here());
    mailbox.stop();
    // It may have ended or not; whoever was not refused is read.
    let posted = mailbox.post_to_task(id, 3).is_ok();
    running.join().unwrap();
    assert_eq!(
        gets.try_iter().collect::<Vec<_>>(),
        vec![(3, true); usize::from(posted)]
    );
    assert_eq!(mailbox.post_to_task(id, 4), Err(4));
}

/// Mail that panics when the reactor itself drops it, in none of the protocols' hands.
#[derive(Debug, PartialEq)]
struct Explosive {
    is_bomb: bool,
}

impl Drop for Explosive {
    fn drop(&mut self) {
        assert!(!self.is_bomb, "as the test wants it");
    }
}

struct Recorder(mpsc::Sender<&'static str>);

impl Protocol<Explosive> for Recorder {
    fn on_open(&mut self, _: &mut Io<'_>) {}
    fn on_bytes(&mut self, _: &[u8], _: &mut Io<'_>) {}
    fn on_end(&mut self, _: &mut Io<'_>) {}
    fn on_mail(&mut self, _: Explosive, _: &mut Io<'_>) {}
    fn on_deadline(&mut self, _: &mut Io<'_>) {}
    fn on_flushed(&mut self, _: &mut Io<'_>) {}
    fn on_lost(&mut self) {
        self.0.send("lost").unwrap();
    }
}

impl Task<Explosive> for Recorder {
    fn on_mail(&mut self, _: Explosive, _: &mut Context<'_>) {
        self.0.send("mail").unwrap();
    }
}

#[test]
fn a_reactor_that_panics_tells_everyone_as_one_that_stops() {
    let harmless = || Explosive { is_bomb: false };
    let socket = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    let served = socket.accept().unwrap().0;
    served.set_nonblocking(true).unwrap();

    let mut reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    let (told, tells) = mpsc::channel();
    let task = reactor.add_task(Box::new(Recorder(told.clone())));
    mailbox.adopt(TcpStream::from_std(served), Box::new(Recorder(told)));
    let nobody = ConnectionId(Key {
        index: 7,
        generation: 0,
    });
    mailbox.post(nobody, Explosive { is_bomb: true });
    mailbox.post_to_task(task, harmless()).unwrap();

    let error = reactor.run().unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    assert_eq!(tells.try_iter().collect::<Vec<_>>(), ["lost", "mail"]);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    let refused = mailbox.post_to_task(task, harmless());
    assert_eq!(refused, Err(harmless()));
}

/// Runs the loop on this thread until `done`.
fn iterate_until(reactor: &mut Reactor<u64>, mut done: impl FnMut(&mut Reactor<u64>) -> bool) {
    let mut events = Events::with_capacity(16);
    let deadline = Instant::now() + PATIENCE;
    while !done(reactor) {
        assert!(Instant::now() < deadline, "not done in {PATIENCE:?}");
        let nap = Some(Duration::from_millis(1));
        reactor.iterate(&mut events, nap).unwrap();
    }
}

#[test]
fn a_closed_connection_waits_neither_for_one_that_is_gone_nor_for_ever() {
    let (mut reactor, served) = listening(|| {
        |told: Told<'_>, io: &mut Io<'_>| match told {
            // More than the kernel takes, for an end that does not read.
            Told::Bytes(b"much") => {
                io.out().resize(64 << 20, 0);
                io.close();
                io.set_deadline(None);
            }
            Told::End => io.out().push(b'.'),
            _ => {}
        }
    });
    let one = served.connect();
    one.shutdown(Shutdown::Write).unwrap();
    iterate_until(&mut reactor, |_| served.lost.try_recv().is_ok());
    assert_eq!(reactor.connections.len(), 0, "both ends have closed");
    assert_eq!(read_to_end(one), b".");

    let mut other = served.connect();
    other.write_all(b"much").unwrap();
    let mut closed = None;
    iterate_until(&mut reactor, |reactor| {
        let mut open = reactor.connections.values_mut();
        closed = open
            .find(|connection| connection.write_blocked)
            .and_then(|connection| connection.requested.deadline);
        closed.is_some()
    });
    let last_flush = closed.unwrap();
    reactor.meet_deadlines(last_flush - Duration::from_millis(1));
    assert_eq!(reactor.connections.len(), 1);
    reactor.meet_deadlines(last_flush);
    assert_eq!(reactor.connections.len(), 0);
    assert_eq!(served.wait_for_loss(), None);
}
