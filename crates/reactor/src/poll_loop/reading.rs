//! What comes in: input, mail and deadlines, handed to the protocols in slices, so that none can
//! keep the others waiting. Must not know when output leaves, nor what the protocols do.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{ConnectionId, Reactor, TIME_AT_ONCE};
use crate::{
    connection::{Connection, Input},
    mailbox::Command,
    output::Output,
    work_lists::WorkLists,
};

/// One read takes at most this much, and a connection gets one read an iteration, so that none can
/// keep the others waiting.
pub const READ_BUFFER: usize = 64 * 1024;
/// So many commands are read before output is flushed, so that output does not wait for all.
const COMMANDS_AT_ONCE: usize = 4096;

/// So much mail in bulk is read an iteration. It is a copy each, mostly.
pub(super) const BULK_AT_ONCE: usize = 1024;
/// After so much of it, output that may wait is flushed, as it is when there is no more. Until then
/// several events for a connection come together, and leave in one write.
pub(super) const BULK_BEFORE_FLUSH: usize = COMMANDS_AT_ONCE;
/// So many reads at most take what a connection that broke has left: more than the kernel holds of
/// it by default.
const LAST_READS: usize = 128;
/// So many connections are read in any case. More of them are read while there is time.
pub(super) const READS_AT_LEAST: usize = 16;

impl<M: 'static> Reactor<M> {
    /// Gives each connection that may have input one read, or the rest of its last. Those that
    /// there is no time for come first in the next iteration.
    pub(super) fn read_the_readable(&mut self, now: Instant) {
        let mut listed = self.work.take_readable();
        let mut done = 0;
        for id in &listed {
            if done >= READS_AT_LEAST && now.elapsed() > TIME_AT_ONCE {
                break;
            }
            self.give_turn(*id, now);
            done += 1;
        }
        listed.drain(..done);
        self.work.give_readable_back(listed);
    }

    fn give_turn(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        connection.is_listed_readable = false;
        if connection.requested.take_call_again() {
            connection.call(now, |protocol, io| protocol.on_again(io));
            self.after_call(id);
        } else if connection.wants_input() {
            self.read(id, now);
        }
    }

    fn read(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(id.0) else {
            return;
        };
        let buffer = &mut self.buffer;
        connection.maybe_readable = false;
        match connection.read(buffer) {
            Ok(Input::Bytes(n, more)) => {
                connection.maybe_readable = more;
                connection.call(now, |protocol, io| protocol.on_bytes(&buffer[..n], io));
                self.after_call(id);
            }
            Ok(Input::End) => {
                connection.call(now, |protocol, io| protocol.on_end(io));
                self.after_call(id);
            }
            Ok(Input::Nothing) => {}
            Err(error) => {
                connection.fail(&error);
                self.drop_connection(id);
            }
        }
    }

    /// Drops a connection whose output the kernel refuses. What the other end sent before is still
    /// there, and often says why; that comes first.
    pub(super) fn end_unwritable(&mut self, id: ConnectionId, error: &io::Error, now: Instant) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Some(connection) = self.connection(id) {
            for _ in 0..LAST_READS {
                connection.output = Output::default();
                if connection.requested.take_call_again() {
                    connection.call(now, |protocol, io| protocol.on_again(io));
                    continue;
                }
                if !connection.wants_input() {
                    break;
                }
                let Ok(Input::Bytes(n, _)) = connection.read(&mut buffer) else {
                    break;
                };
                connection.call(now, |protocol, io| protocol.on_bytes(&buffer[..n], io));
            }
            connection.fail(error);
        }
        self.buffer = buffer;
        self.drop_connection(id);
    }

    /// Reads the mail. `false` when the reactor is to stop.
    pub(super) fn read_commands(&mut self, now: Instant) -> bool {
        for _ in 0..COMMANDS_AT_ONCE {
            let Some(command) = self.inbox.next() else {
                return true;
            };
            match command {
                Command::Mail(id, mail) => {
                    if let Some(connection) = self.connection(id) {
                        connection.call(now, |protocol, io| protocol.on_mail(mail, io));
                        self.after_call(id);
                    }
                }
                Command::TaskMail(id, mail) => self.tasks.deliver(id, mail, now),
                Command::AddTask(task) => {
                    self.tasks.add(task, now);
                }
                Command::Adopt(socket, protocol) => self.adopt(socket, protocol, now),
                Command::StopAccepting => self.listeners.close(),
                Command::ShutDown => self.shut_down(now),
                Command::Stop => return false,
            }
        }
        true
    }

    /// Reads a slice of the mail in bulk, unless what has been read is to be flushed first.
    pub(super) fn read_bulk(&mut self, now: Instant) {
        if self.bulk_flushes > 0 {
            return;
        }
        for _ in 0..BULK_AT_ONCE {
            let Some((id, mail)) = self.inbox.next_bulk() else {
                self.bulk_read = BULK_BEFORE_FLUSH;
                break;
            };
            self.bulk_read += 1;
            if let Some(connection) = self.connection(id) {
                connection.call(now, |protocol, io| protocol.on_mail(mail, io));
                self.act(id, WorkLists::note_in_bulk);
            }
        }
        if self.bulk_read >= BULK_BEFORE_FLUSH {
            self.bulk_read = 0;
            self.bulk_flushes = self.work.in_bulk();
        }
    }

    /// Meets the deadlines that have come, those that there is no time for in the next iteration.
    pub(super) fn meet_deadlines(&mut self, now: Instant) {
        self.listeners.retry(now);
        self.tasks.meet_deadlines(now);
        let mut first = None;
        while let Some((at, id)) = self.deadlines.pop_due(now) {
            let first = *first.get_or_insert_with(Instant::now);
            if first.elapsed() > TIME_AT_ONCE {
                self.deadlines.push(at, id);
                break;
            }
            // If it has been brought forward, the heap holds that too. If it were armed anew here as
            // well, the heap would never become smaller.
            if let Some(connection) = self.connection(id)
                && connection.armed == Some(at)
            {
                connection.armed = None;
                self.meet_deadline(id, now);
            }
        }
    }

    /// Meets the deadline of a connection, if it has not been postponed.
    fn meet_deadline(&mut self, id: ConnectionId, now: Instant) {
        let has_more_events = self.has_more_events;
        let is_due = |connection: &mut Connection<M>| {
            (connection.requested.deadline).is_some_and(|at| at <= now)
        };
        // What has come in time counts, though nobody had the time to read it.
        if let Some(connection) = self.connection(id)
            && (connection.maybe_readable || has_more_events)
            && connection.wants_input()
            && is_due(connection)
        {
            self.read(id, now);
        }
        let Some(connection) = self.connection(id) else {
            return;
        };
        if is_due(connection) {
            if connection.is_closed() {
                return self.drop_connection(id);
            }
            connection.requested.deadline = None;
            connection.call(now, |protocol, io| protocol.on_deadline(io));
            // One that is over already is for the next iteration, or it would never end here.
            let requested = &mut connection.requested.deadline;
            *requested = requested.map(|at| at.max(now + Duration::from_nanos(1)));
        }
        self.after_call(id);
    }
}
