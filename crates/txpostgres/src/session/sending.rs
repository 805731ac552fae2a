//! Owns when the work of a session is written, and in which pieces. Must not know what the answers
//! become.

use sql::{Error, ErrorKind, transaction_control};

use super::{
    Session, TransactionStatus, copy,
    entry::{Entry, Work},
    report::value,
    wire::{self, Wire},
};

impl<T> Entry<T> {
    /// Why it must not be sent.
    pub(super) fn refusal(&self) -> Option<Error> {
        let settings = self.settings().filter(|settings| !settings.is_empty());
        if let Some(fault) = settings.and_then(|settings| wire::check(settings).err()) {
            return Some(fault);
        }
        match &self.work {
            Work::Describe(_, sql) => refuse_control(sql),
            Work::Simple(script) if script.contains('\0') => Some(value(
                "error encoding message to server: string contains embedded null",
            )),
            _ => {
                let mut statements = (0..).map_while(|n| self.statement(n));
                statements.find_map(|statement| refuse(&statement.sql))
            }
        }
    }
}

/// Refuses what would end the transaction, and what nobody could answer.
fn refuse(sql: &str) -> Option<Error> {
    if sql::is_atomic(sql) {
        return None;
    }
    refuse_control(sql).or_else(|| copy::refuse(sql))
}

fn refuse_control(sql: &str) -> Option<Error> {
    let word = transaction_control(sql)?;
    Some(Error::config(format!(
        "{word} is the pool's to send: return Ok to commit and Err to roll back, or use a SAVEPOINT"
    )))
}

impl<T> Session<T> {
    /// Writes what waits, as far as it may be.
    pub(super) fn advance(&mut self, out: &mut Vec<u8>) {
        while let Some(next) = self.entries.get(self.written) {
            let before = self.written.checked_sub(1).map(|last| &self.entries[last]);
            let must_wait = before.is_some_and(|before| before.is_alone || next.is_alone);
            if self.is_open || self.login.is_some() || must_wait {
                break;
            }
            self.written += 1;
            self.wire.close_dropped(out);
            self.write(out);
        }
    }

    /// Writes the entry whose turn it is, or what can be written of it.
    fn write(&mut self, out: &mut Vec<u8>) {
        let Some(entry) = self.entries.get_mut(self.written - 1) else {
            return;
        };
        if self.transaction.is_begun != entry.is_step() && !entry.is_lookup() {
            let why = "an interaction has the session for itself, and only while it lasts";
            entry.fail(Error::new(ErrorKind::Other, why));
        }
        let wire = &mut self.wire;
        if entry.error.is_some() {
            entry.is_refused = true;
            return wire.sync(out);
        }
        if entry.is_lookup() {
            let lacking = std::mem::take(&mut self.lacking);
            let version = parameter(&self.parameters, "server_version");
            wire.look_up(&lacking, version, out);
            return wire.sync(out);
        }
        match &entry.work {
            Work::Job(_) | Work::Stream { .. } | Work::InTransaction(_) => {
                self.write_statements(out);
            }
            Work::Describe(settings, sql) => {
                wire.begin(settings, false, out);
                match wire.ask(sql, false, out) {
                    Ok(()) => self.is_open = true,
                    Err(error) => {
                        entry.fail(error);
                        wire.sync(out);
                    }
                }
            }
            Work::Begin(settings) => {
                wire.begin(settings, true, out);
                wire.sync(out);
            }
            Work::Simple(script) => {
                wire.query(script, out);
                entry.has_run = true;
            }
            Work::Commit => {
                entry.has_run = true;
                if self.status == TransactionStatus::Failed {
                    // COMMIT would quietly roll back.
                    entry.fail(aborted(
                        self.transaction.failure.as_deref().unwrap_or_default(),
                    ));
                    wire.query("ROLLBACK", out);
                } else {
                    wire.query("COMMIT", out);
                }
            }
            Work::Rollback => {
                entry.has_run = true;
                wire.query("ROLLBACK", out);
            }
        }
    }

    /// Writes the statements of the entry whose turn it is, up to the next one that must be asked
    /// for.
    fn write_statements(&mut self, out: &mut Vec<u8>) {
        let Some(entry) = self.entries.get_mut(self.written - 1) else {
            return;
        };
        self.is_open = false;
        let wire = &mut self.wire;
        if let Err(error) = wire.plan(entry) {
            return give_up(entry, wire, error, out);
        }
        if !entry.has_begun {
            entry.has_begun = true;
            let is_explicit = entry.begins();
            if let Some(settings) = entry.settings() {
                wire.begin(settings, is_explicit, out);
                entry.has_run = settings.get_before().is_some();
            }
        }
        wire.write_planned(entry, out);
        if let Some(statement) = entry.statement(entry.cursor) {
            let is_kept = wire.statements.are_kept();
            match wire.ask(&statement.sql, is_kept, out) {
                Ok(()) => self.is_open = true,
                Err(error) => give_up(entry, wire, error, out),
            }
            return;
        }
        if let (true, Work::Job(job)) = (entry.begins(), &entry.work) {
            let end = if job.is_dry_run { "ROLLBACK" } else { "COMMIT" };
            wire.control(end, out);
        }
        wire.sync(out);
    }

    /// The types that the open entry lacks have come, or none were lacking.
    pub(super) fn answer_asked(&mut self, out: &mut Vec<u8>) {
        let (Some(prepared), Some(entry)) = (
            self.wire.take_asked(),
            self.entries.get_mut(self.written - 1),
        ) else {
            return;
        };
        if matches!(entry.work, Work::Describe(..)) {
            let columns = prepared.columns().iter().map(|column| {
                let r#type = column
                    .r#type
                    .get()
                    .cloned()
                    .unwrap_or(sql::types::Type::UNKNOWN);
                (String::from(&*column.name), r#type)
            });
            entry.description = Some(sql::Description {
                params: prepared.params.to_vec(),
                columns: columns.collect(),
            });
            self.is_open = false;
            self.wire.sync(out);
        } else {
            self.wire
                .shared
                .learn_params(&prepared.sql, &prepared.params);
            self.wire.statements.insert(&prepared);
            self.wire.asked = Some(prepared);
            self.write_statements(out);
        }
        self.advance(out);
    }

    /// Asks for the types that the open entry lacks, in its round.
    pub(super) fn look_up_asked(&mut self, out: &mut Vec<u8>) {
        let lacking = self.wire.lacking();
        if lacking.is_empty() {
            return self.answer_asked(out);
        }
        let version = parameter(&self.parameters, "server_version");
        self.wire.look_up(&lacking, version, out);
        super::encode::flush(out);
    }

    /// The open entry was refused by the server, which skips all up to a Sync.
    pub(super) fn close_round(&mut self, out: &mut Vec<u8>) {
        self.is_open = false;
        self.wire.drop_asking();
        self.wire.sync(out);
        self.advance(out);
    }

    /// Goes on with the stream that is under way, once its last batch is here.
    pub(super) fn read_on(&mut self, out: &mut Vec<u8>) {
        let Some(entry) = self.entries.front_mut() else {
            return;
        };
        let Work::Stream { batch, .. } = entry.work else {
            return;
        };
        // What it answers now comes first.
        if self.written == 0 || !self.wire.steps.is_empty() || self.is_open || entry.is_ending {
            return;
        }
        if self.stream.is_ended {
            entry.is_ending = true;
            entry.fail(deferred::Failure::cancelled());
            self.wire.query("ROLLBACK", out);
        } else if entry.is_read {
            entry.is_ending = true;
            self.wire.query("COMMIT", out);
        } else if let Some(prepared) = self
            .stream
            .prepared
            .clone()
            .filter(|_| self.stream.is_wanted)
        {
            self.stream.is_wanted = false;
            self.wire.read_on(prepared, batch, out);
        }
    }
}

/// Ends a round in which a value could not be converted.
fn give_up<T>(entry: &mut Entry<T>, wire: &mut Wire, error: Error, out: &mut Vec<u8>) {
    entry.fail(error);
    if entry.has_run && !entry.begins() && matches!(entry.work, Work::Job(_)) {
        // Sync would commit the implicit transaction.
        wire.control("ROLLBACK", out);
    }
    wire.sync(out);
}

fn aborted(cause: &str) -> Error {
    let text = format!(
        "the transaction was rolled back because a statement in it had failed ({cause}); return that error"
    );
    Error::new(ErrorKind::Database, text)
}

pub(super) fn parameter<'a>(parameters: &'a [(Box<str>, Box<str>)], name: &str) -> Option<&'a str> {
    let found = parameters
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| &**value)
}
