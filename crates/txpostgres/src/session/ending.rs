//! Owns how works end: what the end of a round means for them, what is undone, what is sent again
//! and what is told. Must not know single messages.

use super::{
    Event, Session, Stream, Transaction, TransactionStatus,
    entry::{Entry, Outcome, Step, Work},
    report::{Error, Fault, violation},
    types,
};

impl<T> Session<T> {
    /// The server is ready for more.
    pub(super) fn on_ready(
        &mut self,
        status: TransactionStatus,
        out: &mut Vec<u8>,
        events: &mut Vec<Event<T>>,
    ) -> Result<(), Fault> {
        self.status = status;
        if let Some(login) = &self.login {
            if !login.is_in() {
                return Err(violation("that it is ready before anybody is logged in"));
            }
            self.login = None;
            events.push(Event::Ready);
            self.advance(out);
            return Ok(());
        }
        let answered = self.wire.steps.pop_front();
        let (Some(Step::Ready | Step::Script), Some(entry)) = (answered, self.entries.front_mut())
        else {
            return Err(violation("that it is ready before it has answered"));
        };
        match (&entry.work, status) {
            _ if entry.is_refused => self.end(out, events),
            (Work::Stream { .. }, TransactionStatus::InTransaction)
                if entry.error.is_none() && !entry.is_ending =>
            {
                self.end_batch(out, events);
            }
            (Work::InTransaction(_), TransactionStatus::Idle) => {
                return Err(Fault::new(
                    "a statement has ended the transaction of its interaction",
                ));
            }
            (Work::InTransaction(_), _) | (_, TransactionStatus::Idle) => self.end(out, events),
            (Work::Begin(_), _) if entry.error.is_none() => self.end(out, events),
            _ if entry.may_roll_back() && !entry.is_rolling_back => {
                entry.is_rolling_back = true;
                self.wire.query("ROLLBACK", out);
            }
            _ => return Err(Fault::new("a statement has left a transaction open")),
        }
        Ok(())
    }

    /// Hands a batch on, and goes on with what is wanted by then.
    fn end_batch(&mut self, out: &mut Vec<u8>, events: &mut Vec<Event<T>>) {
        let received = std::mem::take(&mut self.received);
        if received.len() > 0 && !self.stream.is_ended {
            events.push(Event::Batch(received.into_batch()));
        }
        self.read_on(out);
    }

    /// The first work in flight has ended.
    fn end(&mut self, out: &mut Vec<u8>, events: &mut Vec<Event<T>>) {
        let Some(mut entry) = self.entries.pop_front() else {
            return;
        };
        self.written -= 1;
        match entry.work {
            _ if entry.is_refused => {}
            Work::Begin(_) => self.transaction.is_begun = entry.error.is_none(),
            Work::Commit | Work::Rollback => self.transaction = Transaction::default(),
            Work::Stream { .. } => self.stream = Stream::default(),
            _ => {}
        }
        if entry.is_lookup() {
            self.end_lookup(events);
        } else if entry.is_outdated && entry.begin_again() {
            self.entries.insert(self.written, entry);
        } else {
            self.tell(entry, events);
        }
        self.advance(out);
    }

    fn tell(&mut self, mut entry: Entry<T>, events: &mut Vec<Event<T>>) {
        if entry.is_stopped
            && entry.is_undone()
            && let (Some(ticket), Some(error)) = (entry.ticket.take(), entry.error.take())
        {
            events.push(Event::Stopped(ticket, entry.work, error));
            return;
        }
        let (Some(ticket), outcome) = entry.into_outcome() else {
            return;
        };
        if self.unresolved.is_empty() && self.held.is_empty() {
            events.push(Event::Done(ticket, outcome));
        } else {
            self.held.push_back((ticket, outcome));
        }
    }

    /// Types have come, or there are none: what was held for them can be told.
    fn end_lookup(&mut self, events: &mut Vec<Event<T>>) {
        self.lookups -= 1;
        let (is_last, shared) = (self.lookups == 0, &self.wire.shared);
        self.unresolved.retain(|prepared| {
            let mut lacks = false;
            for column in prepared.columns() {
                if column.r#type.get().is_none() {
                    let found = shared.r#type(column.oid);
                    match found.or_else(|| is_last.then(|| types::lost(column.oid))) {
                        Some(r#type) => lacks |= column.r#type.set(r#type).is_err(),
                        None => lacks = true,
                    }
                }
            }
            lacks
        });
        if self.unresolved.is_empty() {
            let held = self.held.drain(..);
            events.extend(held.map(|(ticket, outcome): (T, Result<Outcome, Error>)| {
                Event::Done(ticket, outcome)
            }));
        }
    }
}
