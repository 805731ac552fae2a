//! Owns what the messages of the server mean, in the order in which they are expected. Must not know
//! how work is written.

use std::collections::VecDeque;

use sql::{Notification, Rows};

use super::{
    CancelKey, Event, Session, TransactionStatus,
    body::{Body, lossy},
    copy,
    description::{columns, params},
    encode,
    entry::{Entry, Kept, Step, Work},
    prepared::Column,
    reader::{Message, Reader, shown},
    report::{Fault, Reported, summary, violation},
};

/// As many notices are handed out of what comes at once; the others are counted.
const MOST_NOTICES: u64 = 50;
/// As many parameters a session has; PostgreSQL reports about fifteen.
const MOST_PARAMETERS: usize = 256;
/// As many rows a script may give.
const MOST_TEXTS: usize = 10_000;
/// The SQLSTATE of a warning that comes of a ROLLBACK that is only to be sure.
const NO_TRANSACTION: &str = "25P01";

impl<T> Session<T> {
    pub(super) fn receive_all(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event<T>>,
    ) -> Result<(), Fault> {
        // The reader is taken out, so that what it has gathered can be read while all else changes.
        let mut reader = std::mem::take(&mut self.reader);
        let read = self.read(&mut reader, &mut bytes, out, events);
        self.reader = reader;
        read
    }

    fn read(
        &mut self,
        reader: &mut Reader,
        bytes: &mut &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event<T>>,
    ) -> Result<(), Fault> {
        loop {
            while let Some(Message { tag, body }) = reader.take(bytes)? {
                self.on_message(tag, body, out, events)?;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let Some(Message { tag, body }) = reader.gather(bytes)? else {
                return Ok(());
            };
            self.on_message(tag, body, out, events)?;
            reader.done();
        }
    }

    fn on_message(
        &mut self,
        tag: u8,
        body: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event<T>>,
    ) -> Result<(), Fault> {
        match tag {
            b'D' | b'C' | b'2' => self.on_answer(tag, body, out),
            b'Z' => self.on_ready(status(body)?, out, events),
            b'E' => self.on_error(body, out),
            b'N' => {
                self.on_notice(body, events);
                self.count_in_login()
            }
            b'S' => self.on_parameter(body, events),
            b'A' if self.login.is_none() => {
                let mut body = Body(body);
                events.push(Event::Notification(Notification {
                    process_id: body.i32()?,
                    channel: lossy(body.text()?),
                    payload: lossy(body.text()?),
                }));
                Ok(())
            }
            b'K' if self.cancel_key.is_none() => {
                let mut body = Body(body);
                self.cancel_key = Some(CancelKey {
                    process_id: body.i32()?,
                    secret: body.i32()?,
                });
                body.end()
            }
            b'R' => match &mut self.login {
                Some(login) if !login.is_in() => {
                    login.count()?;
                    login.authenticate(body, out)
                }
                _ => Err(violation("a message about authentication in a session")),
            },
            _ => self.on_answer(tag, body, out),
        }
    }

    fn count_in_login(&mut self) -> Result<(), Fault> {
        self.login.as_mut().map_or(Ok(()), |login| login.count())
    }

    fn on_parameter(&mut self, body: &[u8], events: &mut Vec<Event<T>>) -> Result<(), Fault> {
        self.count_in_login()?;
        let mut body = Body(body);
        let (name, value) = (lossy(body.text()?), lossy(body.text()?));
        let known = self.parameters.iter().position(|(known, _)| *known == name);
        match known {
            Some(at) => self.parameters[at].1.clone_from(&value),
            None if self.parameters.len() < MOST_PARAMETERS => {
                self.parameters.push((name.clone(), value.clone()));
            }
            None => return Err(violation("more parameters than a session has")),
        }
        if self.login.is_none() {
            events.push(Event::Parameter(name, value));
        }
        Ok(())
    }

    fn on_notice(&mut self, body: &[u8], events: &mut Vec<Event<T>>) {
        let (handed_out, left_out) = &mut self.notices;
        if *handed_out >= MOST_NOTICES {
            *left_out += 1;
            return;
        }
        let reported = Reported::read(body);
        self.is_over |= reported.is_last_word();
        let report = reported.report;
        if &*report.sqlstate != NO_TRANSACTION {
            *handed_out += 1;
            let of_head = !self.wire.steps.is_empty();
            events.push(Event::Notice { of_head, report });
        }
    }

    fn on_error(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let reported = Reported::read(body);
        let (Some(entry), Some(step), false) = (
            self.entries.front_mut(),
            self.wire.steps.front(),
            reported.ends_session() || self.login.is_some(),
        ) else {
            self.is_over = reported.is_last_word();
            return Err(reported.into_fault());
        };
        if entry.error.is_none() {
            entry.is_stopped = reported.is_by_request();
            let statements = &mut self.wire.statements;
            match step {
                Step::Bound(prepared) if reported.is_gone() => {
                    statements.forget_gone(prepared);
                    entry.is_outdated = true;
                }
                Step::Bound(prepared) if reported.is_changed() => {
                    statements.forget_changed(prepared);
                    self.wire.shared.forget(&prepared.sql);
                    entry.is_outdated = true;
                }
                // The types that its parameters had may have changed.
                Step::Parsed {
                    prepared,
                    is_known: true,
                } => {
                    self.wire.shared.forget(&prepared.sql);
                    entry.is_outdated = true;
                }
                _ => {}
            }
        }
        if self.transaction.is_begun && self.transaction.failure.is_none() {
            self.transaction.failure = Some(summary(&reported.report).into());
        }
        if !entry.is_lookup() {
            let error = reported.into_error();
            let is_early = is_early(&self.wire.steps);
            entry.fail(if is_early { error.early() } else { error });
        }
        self.received = super::Received::default();
        self.skip_round(out);
        Ok(())
    }

    /// The server skips all up to the end of the round.
    fn skip_round(&mut self, out: &mut Vec<u8>) {
        let steps = &mut self.wire.steps;
        while let Some(step) = steps.front() {
            match step {
                Step::Ready | Step::Script => return,
                Step::Parsed { prepared, .. } => self.wire.statements.forget_failed(prepared),
                // What could not be described cannot be read.
                Step::Columns(prepared) => self.wire.statements.forget_changed(prepared),
                _ => {}
            }
            steps.pop_front();
        }
        self.close_round(out);
    }

    /// Reads a message that answers to what was sent.
    fn on_answer(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(step) = self.wire.steps.front() else {
            let what = format!("a message {} that nobody asked for", shown(tag));
            return Err(violation(&what));
        };
        match (step, tag) {
            (
                Step::Run {
                    kept: Kept::Rows | Kept::Types | Kept::Batch,
                    prepared,
                },
                b'D',
            ) => {
                return self.received.add(prepared, body);
            }
            (Step::Run { .. }, b'D' | b'd' | b'c') => return Ok(()),
            (Step::Run { .. }, b'C' | b'I' | b's') => return self.on_run(tag, body, out),
            (Step::Run { .. }, b'G') => return self.on_copy_in(out),
            (Step::Run { .. } | Step::Script, b'H') => {
                if let Some(entry) = self.entries.front_mut() {
                    entry.fail(copy::error());
                }
                return Ok(());
            }
            (Step::Script, _) => return self.on_script(tag, body, out),
            (Step::Bound(_), b'2') | (Step::Closed, b'3') => {}
            (Step::Parsed { .. } | Step::ParsedUnkept, b'1') => {}
            (Step::Params, b't') => {}
            (Step::AskedParams, b't') => {
                if let Some(asking) = &mut self.wire.asking {
                    asking.params = params(body)?;
                }
            }
            (Step::AskedColumns, b'T' | b'n') => {
                if let Some(asking) = &mut self.wire.asking {
                    asking.columns = columns(tag, body)?;
                }
                self.wire.steps.pop_front();
                self.look_up_asked(out);
                return Ok(());
            }
            (Step::Columns(_), b'T' | b'n') => return self.on_columns(columns(tag, body)?, out),
            _ => {
                let what = format!("a message {} where it has no place", shown(tag));
                return Err(violation(&what));
            }
        }
        self.wire.steps.pop_front();
        Ok(())
    }

    /// The columns of a statement that was prepared in its first round.
    fn on_columns(&mut self, columns: Box<[Column]>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(Step::Columns(prepared)) = self.wire.steps.pop_front() else {
            return Ok(());
        };
        let before = self.lacking.len();
        for column in &columns {
            match self.wire.shared.r#type(column.oid) {
                Some(r#type) => column.r#type.get_or_init(|| r#type),
                None => {
                    self.lacking.push(column.oid);
                    continue;
                }
            };
        }
        let _ = prepared.columns.set(columns);
        if self.lacking.len() > before {
            self.unresolved.push(prepared);
            // What is written already stays before it.
            let lookup = Entry::new(None, Work::Simple("".into()));
            self.entries.insert(self.written, lookup);
            self.lookups += 1;
            self.advance(out);
        }
        Ok(())
    }

    /// A statement has run, or given a batch.
    fn on_run(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let affected = match tag {
            b'C' => self.on_tag(body)?,
            _ => 0,
        };
        let Some(Step::Run { prepared, kept }) = self.wire.steps.pop_front() else {
            return Ok(());
        };
        if tag == b's' && kept != Kept::Batch {
            return Err(violation("that rows are left where all were asked for"));
        }
        let Some(entry) = self.entries.front_mut() else {
            return Ok(());
        };
        match kept {
            Kept::Nothing | Kept::Beginning => {}
            Kept::Count => entry.add_rows(Rows::count(affected)),
            Kept::Rows => {
                let received = std::mem::take(&mut self.received);
                entry.add_rows(received.into_rows(&prepared, affected));
            }
            Kept::Batch => {
                entry.is_read = tag != b's';
                self.stream.prepared = Some(prepared);
            }
            Kept::Types => {
                let rows = std::mem::take(&mut self.received).into_rows(&prepared, 0);
                self.wire.shared.learn_types(super::types::found(&rows));
                if !entry.is_lookup() {
                    self.answer_asked(out);
                }
            }
        }
        Ok(())
    }

    /// How many rows a statement changed or returned, by its tag.
    fn on_tag(&mut self, body: &[u8]) -> Result<u64, Fault> {
        let tag = Body(body).text()?;
        if matches!(tag, b"DISCARD ALL" | b"DEALLOCATE ALL") {
            self.wire.statements.clear();
        }
        let last = tag.rsplit(|byte| *byte == b' ').next();
        let count = last.and_then(|word| str::from_utf8(word).ok()?.parse().ok());
        Ok(count.unwrap_or(0))
    }

    fn on_script(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(entry) = self.entries.front_mut() else {
            return Ok(());
        };
        match tag {
            b'D' => {
                let mut body = Body(body);
                let has_first = body.u16()? > 0;
                let length = if has_first { body.i32()? } else { -1 };
                let length = usize::try_from(length).ok();
                let first = length.and_then(|length| body.0.get(..length));
                if entry.texts.len() >= MOST_TEXTS {
                    return Err(violation("more rows than a script may give"));
                }
                entry.texts.push(first.map(lossy));
            }
            b'C' => {
                self.on_tag(body)?;
            }
            b'G' => {
                entry.fail(copy::error());
                encode::copy_fail(out, "nobody is there who could send data");
            }
            b'T' | b'I' | b'd' | b'c' => {}
            _ => {
                let what = format!("a message {} where it has no place", shown(tag));
                return Err(violation(&what));
            }
        }
        Ok(())
    }

    /// The server waits for the data of a COPY. It has ignored the Sync after the statement; any
    /// other message there ends the COPY, but one of another job's would be lost.
    fn on_copy_in(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if let Some(entry) = self.entries.front_mut() {
            entry.fail(copy::error());
        }
        match (self.wire.steps.get(1), self.wire.steps.len()) {
            (Some(Step::Ready), 2) => {
                encode::copy_fail(out, "nobody is there who could send data");
                encode::sync(out);
                Ok(())
            }
            (Some(Step::Ready), _) => Err(Fault::new(copy::error().to_string())),
            _ => Ok(()),
        }
    }
}

/// Whether what is answered next belongs to what begins a transaction.
fn is_early(steps: &VecDeque<Step>) -> bool {
    let runs = steps.iter().find_map(|step| match step {
        Step::Run { kept, .. } => Some(*kept == Kept::Beginning),
        // A statement is asked for when all before it is written.
        Step::AskedParams | Step::Ready | Step::Script => Some(false),
        _ => None,
    });
    runs == Some(true)
}

fn status(body: &[u8]) -> Result<TransactionStatus, Fault> {
    match body {
        b"I" => Ok(TransactionStatus::Idle),
        b"T" => Ok(TransactionStatus::InTransaction),
        b"E" => Ok(TransactionStatus::Failed),
        _ => Err(violation("a transaction status that there is not")),
    }
}
