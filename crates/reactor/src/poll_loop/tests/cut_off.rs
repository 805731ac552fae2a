//! Input and deadlines that there is no time for in one iteration of the loop.

use super::super::reading::READS_AT_LEAST;
use super::*;

const CLIENTS: usize = READS_AT_LEAST + 4;

/// As if a protocol had so much to do that no time is left for others in this iteration.
fn use_time_up() {
    let begun = Instant::now();
    while begun.elapsed() <= TIME_AT_ONCE {
        std::hint::spin_loop();
    }
}

type Noted = mpsc::Receiver<(ConnectionId, &'static str)>;

/// A reactor with so many connections, each opened before the next. Each takes long with its input
/// and its deadline, and notes both. Mail sets a deadline that is over; input puts it off.
fn busy_connections() -> (
    Reactor<u64>,
    Served,
    Vec<(net::TcpStream, ConnectionId)>,
    Noted,
) {
    let (noted, notes) = mpsc::channel();
    let (mut reactor, served) = listening(move || {
        let noted = noted.clone();
        move |told: Told<'_>, io: &mut Io<'_>| {
            let name = match told {
                Told::Bytes(_) => "input",
                Told::Deadline => "deadline",
                Told::Mail(_) => return io.set_deadline(Some(io.now)),
                _ => return,
            };
            io.set_deadline(None);
            noted.send((io.id, name)).unwrap();
            use_time_up();
        }
    });
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let client = served.connect();
        iterate_until(&mut reactor, |reactor| reactor.connections.len() > n);
        let known: Vec<_> = clients.iter().map(|(_, id)| *id).collect();
        let new = reactor.ids().into_iter().find(|id| !known.contains(id));
        clients.push((client, new.unwrap()));
    }
    (reactor, served, clients, notes)
}

/// One iteration, with all events that there are.
fn iterate(reactor: &mut Reactor<u64>) {
    let mut events = Events::with_capacity(2 * CLIENTS);
    assert!(reactor.iterate(&mut events, Some(Duration::ZERO)).unwrap());
}

#[test]
fn input_that_there_is_no_time_for_comes_first_in_the_next_iteration() {
    let (mut reactor, _served, mut clients, notes) = busy_connections();
    for (client, _) in &mut clients {
        client.write_all(b"x").unwrap();
    }
    iterate(&mut reactor);
    let first: Vec<_> = notes.try_iter().map(|(id, _)| id).collect();
    assert_eq!(first.len(), READS_AT_LEAST, "the rest has to wait");
    for (client, id) in &mut clients {
        if first.contains(id) {
            client.write_all(b"y").unwrap();
        }
    }
    iterate(&mut reactor);
    let second: Vec<_> = notes.try_iter().map(|(id, _)| id).collect();
    let (waited, again) = second.split_at(CLIENTS - READS_AT_LEAST);
    assert!(waited.iter().all(|id| !first.contains(id)), "{second:?}");
    assert!(again.iter().all(|id| first.contains(id)), "{second:?}");
    // Nothing is forgotten, though no event tells of it again.
    iterate(&mut reactor);
    assert_eq!(second.len() + notes.try_iter().count(), CLIENTS);
}

#[test]
fn deadlines_that_there_is_no_time_for_are_met_in_the_next_iterations_in_their_order() {
    let (mut reactor, served, clients, notes) = busy_connections();
    for (_, id) in &clients[..3] {
        served.mailbox.post(*id, 0);
    }
    for (_, id) in &clients[..3] {
        iterate(&mut reactor);
        assert_eq!(notes.try_iter().collect::<Vec<_>>(), [(*id, "deadline")]);
        assert!(
            reactor
                .sleep_time()
                .unwrap()
                .is_none_or(|time| time.is_zero())
        );
    }
    iterate(&mut reactor);
    assert_eq!(notes.try_iter().next(), None);
    assert_eq!(reactor.deadlines.len(), 0);
}

/// A peer that has given its sign of life in time must not be dropped for want of it.
#[test]
fn input_that_came_in_time_is_read_before_a_deadline_is_met() {
    // With all events at once, and with fewer than there are.
    for capacity in [2 * CLIENTS, READS_AT_LEAST] {
        let (mut reactor, served, mut clients, notes) = busy_connections();
        for (_, id) in &clients {
            served.mailbox.post(*id, 0);
        }
        assert!(reactor.read_commands(Instant::now()));
        for (client, _) in &mut clients {
            client.write_all(b"x").unwrap();
        }
        let mut events = Events::with_capacity(capacity);
        let mut heard = Vec::new();
        while heard.len() < CLIENTS {
            reactor.iterate(&mut events, Some(Duration::ZERO)).unwrap();
            heard.extend(notes.try_iter());
        }
        let is_input = |(_, name): &(_, &str)| *name == "input";
        assert!(heard.iter().all(is_input), "{capacity} events: {heard:?}");
    }
}
