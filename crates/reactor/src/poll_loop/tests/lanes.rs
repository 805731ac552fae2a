//! The two lanes of mail, and what a protocol does in pieces, on real sockets.

use super::{reading::BULK_AT_ONCE, *};
use crate::scripted::piecemeal;

const THREADS: u64 = 4;
const CONNECTIONS: usize = 6;
const IN_BULK: u64 = 1 << 40;

/// Numbers without a pattern, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's constants.
        self.0 = (self.0.wrapping_mul(6_364_136_223_846_793_005))
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Posts with either lane at random; what it has posted to each connection.
fn post_at_random(mailbox: &Mailbox<u64>, ids: &[ConnectionId], thread: u64) -> Vec<Vec<u64>> {
    let mut numbers = Numbers(thread);
    let mut posted = vec![Vec::new(); ids.len()];
    for n in 0..10_000 {
        let mail = thread << 32 | n;
        let to = numbers.below(ids.len() as u64) as usize;
        match numbers.below(4) {
            0 => {
                mailbox.post_bulk_quietly(ids[to], mail | IN_BULK);
                posted[to].push(mail | IN_BULK);
            }
            1 => {
                mailbox.post_all_quietly(ids[to..].iter().copied(), mail | IN_BULK, u64::clone);
                for posted in &mut posted[to..] {
                    posted.push(mail | IN_BULK);
                }
            }
            _ => {
                mailbox.post_quietly(ids[to], mail);
                posted[to].push(mail);
            }
        }
        mailbox.wake();
    }
    posted
}

/// What one thread has posted to one connection, and what that has received of it.
fn check_order(posted: &[u64], received: &[u64]) {
    let lane = |mail: &[u64], bulk: u64| -> Vec<u64> {
        let lane = mail.iter().filter(|mail| *mail & IN_BULK == bulk);
        lane.copied().collect()
    };
    for bulk in [0, IN_BULK] {
        // Nothing lost, nothing twice, nothing out of its order.
        assert!(lane(posted, bulk) == lane(received, bulk));
    }
    let mut newest_in_bulk = 0;
    for mail in received {
        if mail & IN_BULK != 0 {
            newest_in_bulk = mail & !IN_BULK;
        } else {
            assert!(*mail > newest_in_bulk, "an event has overtaken {mail:x}");
        }
    }
}

#[test]
fn each_lane_keeps_its_order_whatever_threads_post() {
    let (opened, is_open) = mpsc::channel();
    let served = serve(move || {
        let opened = opened.clone();
        move |told: Told<'_>, io: &mut Io<'_>| match told {
            Told::Open => opened.send(io.id).unwrap(),
            Told::Mail(0) => io.close(),
            Told::Mail(mail) => io.out().extend_from_slice(&mail.to_be_bytes()),
            _ => {}
        }
    });
    let mut clients = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(served.connect());
        ids.push(is_open.recv_timeout(PATIENCE).unwrap());
    }
    let readers: Vec<_> = clients
        .into_iter()
        .map(|client| thread::spawn(move || read_to_end(client)))
        .collect();
    let posted: Vec<_> = thread::scope(|scope| {
        let posting: Vec<_> = (1..=THREADS)
            .map(|thread| {
                let (mailbox, ids) = (&served.mailbox, &ids);
                scope.spawn(move || post_at_random(mailbox, ids, thread))
            })
            .collect();
        let joined = posting.into_iter().map(|thread| thread.join().unwrap());
        joined.collect()
    });
    // Behind everything.
    for id in ids {
        served.mailbox.post_bulk_quietly(id, 0);
    }
    served.mailbox.wake();
    for (connection, reader) in readers.into_iter().enumerate() {
        let received = reader.join().unwrap();
        let received: Vec<_> = received
            .as_chunks()
            .0
            .iter()
            .map(|mail| u64::from_be_bytes(*mail))
            .collect();
        for (thread, posted) in (1..=THREADS).zip(&posted) {
            let of_thread = (received.iter()).filter(|mail| (*mail & !IN_BULK) >> 32 == thread);
            let received: Vec<_> = of_thread.copied().collect();
            check_order(&posted[connection], &received);
        }
    }
}

#[test]
fn a_long_list_of_receivers_does_not_keep_an_answer_waiting() {
    let (opened, is_open) = mpsc::channel();
    let (mut reactor, served) = listening(move || {
        let opened = opened.clone();
        let mut events = 0;
        move |told: Told<'_>, io: &mut Io<'_>| match told {
            Told::Open => opened.send(io.id).unwrap(),
            Told::Mail(0) => events += 1,
            Told::Mail(_) => io.out().extend_from_slice(&u64::to_be_bytes(events)),
            _ => {}
        }
    });
    let mut client = served.connect();
    let mut id = None;
    iterate_until(&mut reactor, |_| {
        id = is_open.try_recv().ok();
        id.is_some()
    });
    let id = id.unwrap();
    let all = [id; 10 * BULK_AT_ONCE];
    served.mailbox.post_all_quietly(all, 0, u64::clone);
    served.mailbox.post_bulk_quietly(id, 1);
    let mut events = [0; 8];
    for _ in 0..2 {
        served.mailbox.post_quietly(id, 1);
        let mut all = Events::with_capacity(16);
        assert!(reactor.iterate(&mut all, Some(Duration::ZERO)).unwrap());
    }
    for slices in 0..2 {
        client.read_exact(&mut events).unwrap();
        assert_eq!(u64::from_be_bytes(events), slices * BULK_AT_ONCE as u64);
    }
    iterate_until(&mut reactor, |reactor| reactor.inbox.is_empty());
    client.read_exact(&mut events).unwrap();
    assert_eq!(u64::from_be_bytes(events), all.len() as u64);
}

#[test]
fn a_protocol_works_its_input_off_in_pieces_and_hears_of_its_end_after_them() {
    let served = serve(piecemeal);
    let mut client = served.connect();
    let sent = pattern(10_000);
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(read_to_end(client) == sent);
    assert_eq!(served.wait_for_loss(), None);
}

#[test]
fn a_protocol_that_always_has_more_to_do_does_not_hold_up_another() {
    let served = serve(|| {
        move |told: Told<'_>, io: &mut Io<'_>| match told {
            Told::Bytes(b"for ever") => io.call_again(),
            Told::Bytes(bytes) => io.out().extend_from_slice(bytes),
            Told::Again => io.call_again(),
            _ => {}
        }
    });
    let (mut busy, mut other) = (served.connect(), served.connect());
    let mut echoed = [0];
    // Both are served before the one goes on for ever.
    for client in [&mut busy, &mut other] {
        client.write_all(b"x").unwrap();
        client.read_exact(&mut echoed).unwrap();
    }
    busy.write_all(b"for ever").unwrap();
    for n in 0..100 {
        other.write_all(&[n]).unwrap();
        other.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, [n]);
    }
}

#[test]
fn shared_output_arrives_whole_and_in_its_place() {
    let shared = bytes::Bytes::from(pattern(4 << 20));
    let expected = [b"<", &shared[..], &shared[1..], b">"].concat();
    let ours = shared.clone();
    let served = serve(move || {
        let shared = ours.clone();
        move |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::Open = told {
                io.out().push(b'<');
                io.send_shared(shared.clone());
                io.send_shared(shared.slice(1..));
                io.out().push(b'>');
                io.close();
            }
        }
    });
    let clients = [(); 4].map(|()| served.connect());
    for client in clients {
        assert!(read_to_end(client) == expected);
        assert_eq!(served.wait_for_loss(), None);
    }
}
