//! What a session receives: its messages are taken in turns with those of others, and what is left
//! is kept for the next turn. Must not know what the messages do.

use std::time::Instant;

use super::Session;
use crate::{
    frames::{Incoming, TooLarge},
    limits::{LEAST_TAKEN, MESSAGES_AT_ONCE, TIME_AT_ONCE, TIME_FOR_ALL},
};
use reactor::Io;
use wamp::SessionId;

impl Session {
    pub(crate) fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        self.heartbeat.sign_of_life();
        let left = if self.has_unread() {
            bytes.len()
        } else {
            self.take(bytes, io)
        };
        self.keep(&bytes[bytes.len() - left..]);
    }

    /// Goes on with what has been read.
    pub(crate) fn on_again(&mut self, io: &mut Io<'_>) {
        if !self.is_held() {
            self.take_unread(io);
        }
    }

    /// Takes messages out of `bytes`, as many as an iteration may have, or fewer if the session has
    /// to wait. How many bytes are left for later.
    fn take(&mut self, bytes: &[u8], io: &mut Io<'_>) -> usize {
        let mut left = bytes;
        let is_done = self.take_messages(&mut left, io);
        self.regulate(io);
        // If it does not wait, or not any more, it goes on in the next iteration.
        if !is_done && !self.is_held() {
            io.call_again();
        }
        if is_done { 0 } else { left.len() }
    }

    /// Whether no message is left, of those in `bytes` and those that came before.
    fn take_messages(&mut self, bytes: &mut &[u8], io: &mut Io<'_>) -> bool {
        let mut has_message = false;
        let mut second = None;
        for _ in 0..MESSAGES_AT_ONCE {
            let memory = self.context.io_thread.realms.memory();
            let room = self.pressure.as_ref().map_or(0, |p| p.room());
            let fits = |len| len <= room || memory.has_room(len);
            let incoming = self.frames.next_within(bytes, io.out(), &fits);
            let Some(incoming) = incoming else {
                self.note_unfinished(has_message, io);
                return true;
            };
            has_message |= matches!(incoming, Incoming::Text(_));
            match incoming {
                Incoming::Text(text) => {
                    if text.len() > LEAST_TAKEN {
                        // It does not wait any more.
                        self.backlog.set_input(0);
                    }
                    self.on_text(text.as_bytes(), io);
                }
                Incoming::Binary => self.on_violation(
                    format!(
                        "received a binary message; {} has text messages only",
                        self.serializer.subprotocol()
                    ),
                    io,
                ),
                Incoming::Heartbeat => {}
                Incoming::Closed => {
                    self.on_closed(io);
                    return true;
                }
                Incoming::NoRoom(len) => return !self.wait_for_room(len, io),
                Incoming::Failed(reason) => {
                    self.on_failed(&reason, io);
                    return true;
                }
                Incoming::TooLarge(too_large) => {
                    self.on_too_large(&too_large, io);
                    return true;
                }
            }
            if self.has_to_wait(io) {
                return false;
            }
            // Mostly there is one, which needs no look at the time.
            if !bytes.is_empty() {
                let now = Instant::now();
                let begun = *second.get_or_insert(now);
                if now - begun > TIME_AT_ONCE
                    || now.saturating_duration_since(io.now) > TIME_FOR_ALL
                {
                    break;
                }
            }
        }
        false
    }

    fn on_failed(&mut self, reason: &str, io: &mut Io<'_>) {
        tracing::info!(
            target: crate::LOG,
            client = %self.context.remote,
            session = self.session.map(SessionId::value),
            reason,
            "closing a WebSocket connection that broke the protocol"
        );
        self.fail("it broke the WebSocket protocol".to_owned(), io);
    }

    fn on_too_large(&mut self, too_large: &TooLarge, io: &mut Io<'_>) {
        tracing::info!(
            target: crate::LOG,
            client = %self.context.remote,
            session = self.session.map(SessionId::value),
            option = too_large.option,
            limit = too_large.limit,
            size = too_large.size,
            "closing a WebSocket connection that sent {too_large}; if that is expected, raise the \
             option of its transport"
        );
        self.fail(format!("it sent {too_large}, perhaps the answer"), io);
    }

    /// Keeps what has been read for later, behind what is kept already.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.pressure_mut().unread.extend_from_slice(bytes);
            self.note_input();
        }
    }

    /// Whether something is kept that has been read.
    pub(super) fn has_unread(&self) -> bool {
        (self.pressure.as_ref()).is_some_and(|pressure| pressure.unread() > 0)
    }

    /// Takes messages out of what is kept, as far as it goes now.
    pub(super) fn take_unread(&mut self, io: &mut Io<'_>) {
        let pressure = self.pressure_mut();
        let unread = std::mem::take(&mut pressure.unread);
        let from = std::mem::take(&mut pressure.unread_from);
        let left = self.take(&unread[from..], io);
        if left > 0 {
            let pressure = self.pressure_mut();
            pressure.unread_from = unread.len() - left;
            pressure.unread = unread;
            self.note_input();
        }
    }

    fn note_input(&self) {
        let unread = self
            .pressure
            .as_ref()
            .map_or(0, |pressure| pressure.unread());
        self.backlog.set_input(self.frames.held() + unread);
    }
}
