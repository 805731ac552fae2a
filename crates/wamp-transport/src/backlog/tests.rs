//! What a session is charged for, when it has to wait, and that it is told when it need not.

use std::{
    sync::mpsc::{self, TryRecvError},
    thread,
};

use super::*;

/// Each session has one, and most are idle.
#[test]
fn the_accounts_are_no_larger_than_they_have_to_be() {
    assert!(size_of::<Backlog>() <= 64);
}

#[test]
fn a_session_waits_above_the_limit_until_it_is_below_half() {
    let payer = Backlog::new(100, None);
    let first = payer.charge(1, BACKLOG_LIMIT / 2 - MARGIN);
    let second = payer.charge(1, BACKLOG_LIMIT / 4 - MARGIN);
    assert!(!payer.has_to_wait());
    let third = payer.charge(1, BACKLOG_LIMIT / 2);
    assert!(payer.has_to_wait());
    drop(second);
    assert!(payer.has_to_wait());
    third.release();
    assert!(!payer.has_to_wait());
    drop((first, third));
    assert_eq!(payer.caused(), 0);
}

/// A session that has to wait is told when it need not any more, at whatever point of its look at
/// that another thread releases the last.
#[test]
fn no_session_waits_for_a_release_that_has_been_while_it_looked() {
    const ROUNDS: usize = 100_000;
    let payer = Backlog::new(100, None);
    let (charged, charges) = mpsc::channel::<Charge>();
    let released = &AtomicUsize::new(0);
    let releasing = move || loop {
        match charges.try_recv() {
            Ok(charge) => {
                drop(charge);
                released.fetch_add(1, Ordering::SeqCst);
            }
            // It does not sleep: to wake up takes longer than the look.
            Err(TryRecvError::Empty) => thread::yield_now(),
            Err(TryRecvError::Disconnected) => return,
        }
    };
    thread::scope(|scope| {
        let charged = charged;
        scope.spawn(releasing);
        for round in 1..=ROUNDS {
            charged.send(payer.charge(1, BACKLOG_LIMIT)).unwrap();
            // One point after the other.
            for _ in 0..round % 64 {
                std::hint::spin_loop();
            }
            let waits = payer.has_to_wait();
            while released.load(Ordering::SeqCst) < round {
                thread::yield_now();
            }
            let is_told = !payer.is_waiting.load(Ordering::SeqCst);
            assert!(is_told || !waits, "round {round}: it waits for ever");
        }
    });
}

#[test]
fn who_publishes_while_too_much_is_under_way_waits_until_its_own_event_has_arrived() {
    let under_way = Arc::new(EventsUnderWay::default());
    let [one, other] = [(); 2].map(|()| Backlog::new(100, None));
    let of_a_component = under_way.charge(None, 1, REALM_EVENTS_LIMIT);
    let first = under_way.charge(Some(&one), 2, 10);
    let second = under_way.charge(Some(&other), 1, 10);
    assert!(one.has_to_wait() && other.has_to_wait());
    first.release();
    assert!(!one.has_to_wait() && other.has_to_wait());
    drop(of_a_component);
    drop(under_way.charge(Some(&one), 2, 10));
    assert!(!one.has_to_wait());
    drop((first, second));
    assert_eq!((under_way.octets(), other.caused()), (0, 0));
}

#[test]
fn a_call_to_a_callee_that_does_not_read_makes_its_caller_wait_and_finds_no_room_at_last() {
    let (payer, callee) = (Backlog::new(100, None), Backlog::new(100, None));
    let charge = || Backlog::charge_call(Some(&payer), &callee, 10);
    let room = charge().unwrap();
    assert_eq!(payer.caused(), 10 + MARGIN);
    callee.flushed(101, 0, true);
    let wait = charge().unwrap();
    assert!(payer.has_to_wait());
    payer.set_stalled();
    assert!(charge().is_none());
    drop(wait);
    assert!(!payer.has_to_wait());
    assert!(charge().is_some());
    callee.put(300);
    assert!(charge().is_none());
    drop(room);
    assert_eq!(payer.caused(), 0);
}

#[test]
fn calls_of_many_leave_a_callee_below_what_it_would_be_dropped_for() {
    const LEN: usize = 1000;
    let callee = Backlog::new(4 * LEN, None);
    let payers: Vec<_> = (0..100).map(|_| Backlog::new(100, None)).collect();
    let charge = |payer| Backlog::charge_call(payer, &callee, LEN);
    let mut charges = Vec::new();
    for payer in &payers {
        let charge = charge(Some(payer));
        callee.put(charge.as_ref().map_or(0, |_| LEN));
        charges.extend(charge);
    }
    assert!(charges.len() < payers.len());
    assert!((callee.limit()..=callee.hard_limit()).contains(&callee.waiting()));
    assert!(charge(None).is_none());
    callee.took(charges.len() * LEN);
    assert!(charge(None).is_some());
}
