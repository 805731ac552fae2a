//! How a session ends: the closing handshake and what the realm is told. Must not know why.

use std::sync::Arc;

use tungstenite::protocol::frame::coding::CloseCode;

use super::{Phase, Session};
use crate::{frames::Complaint, realm::Realm};
use reactor::Io;
use wamp::SessionId;
use wamp_router::PeerId;

impl Session {
    /// The closing handshake is complete.
    pub(super) fn on_closed(&mut self, io: &mut Io<'_>) {
        match (self.frames.take_complaint(), self.take_session()) {
            (Some(complaint), Some((realm, peer))) => {
                let Complaint { code, reason } = complaint;
                tracing::info!(
                target: crate::LOG,
                                   client = %self.context.remote, session = self.session.map(SessionId::value), code, reason,
                                   "the client closed its WebSocket connection with a complaint"
                               );
                let why = match CloseCode::from(code) {
                    CloseCode::Size => {
                        "a message was too large for it, perhaps the call".to_owned()
                    }
                    code => format!("it closed its connection with the code {code}"),
                };
                realm.lose(peer, why);
            }
            (None, Some((realm, peer))) => realm.leave(peer),
            (_, None) => {}
        }
        io.close();
    }

    /// Ends the connection of a client that no frame can be read of any more. Why is on the way to
    /// it; who waits for it learns it too.
    pub(super) fn fail(&mut self, why: String, io: &mut Io<'_>) {
        if let Some((realm, peer)) = self.take_session() {
            realm.lose(peer, why);
        }
        if self.options.fail_by_drop {
            io.abort();
        } else {
            io.close();
        }
    }

    /// Begins the closing handshake; the connection ends with the other end's answer or the
    /// deadline. A violator may have to do without, with the ABORT that WAMP asks for alone.
    pub(super) fn close(&mut self, code: CloseCode, reason: &str, io: &mut Io<'_>) {
        self.leave();
        if self.is_violator && self.options.fail_by_drop {
            return io.close();
        }
        self.frames.close(code, reason, io.out());
        self.phase = Phase::Closing {
            until: self.options.close_handshake_timeout.map(|t| io.now + t),
        };
        self.set_deadline(io);
    }

    /// RFC 6455, 7.4.1: 1001 is for a server that goes down. Clients connect again after it.
    pub(super) fn go_away(&mut self, io: &mut Io<'_>) {
        self.close(CloseCode::Away, "the router is shutting down", io);
    }

    /// Takes the session out of its realm, if it is in one.
    pub(super) fn leave(&mut self) {
        if let Some((realm, peer)) = self.take_session() {
            realm.leave(peer);
        }
    }

    pub(super) fn take_session(&mut self) -> Option<(Arc<Realm>, PeerId)> {
        match std::mem::replace(&mut self.phase, Phase::Closing { until: None }) {
            Phase::Joined { realm, peer } => Some((realm, peer)),
            _ => None,
        }
    }
}
