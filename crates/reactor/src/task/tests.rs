//! Tasks on a reactor that runs.

use std::{sync::mpsc, thread, time::Duration};

use super::*;
use crate::Reactor;

const PATIENCE: Duration = Duration::from_secs(20);

/// Says when its deadline comes, again every millisecond, and ends at the third.
struct Ticker {
    ticks: u32,
    told: mpsc::Sender<(TaskId, u32)>,
}

impl Task<u64> for Ticker {
    fn on_start(&mut self, context: &mut Context<'_>) {
        context.set_deadline(Some(context.now));
    }

    fn on_mail(&mut self, mail: u64, context: &mut Context<'_>) {
        panic!("{mail} came to {:?}, which has ended", context.id);
    }

    fn on_deadline(&mut self, context: &mut Context<'_>) {
        self.ticks += 1;
        self.told.send((context.id, self.ticks)).unwrap();
        context.set_deadline(Some(context.now + Duration::from_millis(1)));
        if self.ticks == 3 {
            context.end();
        }
    }
}

#[test]
fn tasks_come_while_the_reactor_runs_meet_their_deadlines_and_go() {
    let reactor = Reactor::new().unwrap();
    let mailbox = reactor.mailbox();
    let running = thread::spawn(move || reactor.run().unwrap());
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (told, tells) = mpsc::channel();
        mailbox.add_task(Box::new(Ticker { ticks: 0, told }));
        let ticks: Vec<_> = (0..3)
            .map(|_| tells.recv_timeout(PATIENCE).unwrap())
            .collect();
        assert_eq!(
            ticks.iter().map(|(_, tick)| *tick).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        // It is dropped, and mail for it goes nowhere.
        assert!(tells.recv_timeout(PATIENCE).is_err());
        mailbox.post_to_task(ticks[0].0, 7).unwrap();
        ids.push(ticks[0].0);
    }
    assert_ne!(
        ids[0], ids[1],
        "the second has the first one's place and no other's name"
    );
    mailbox.stop();
    running.join().unwrap();
}
