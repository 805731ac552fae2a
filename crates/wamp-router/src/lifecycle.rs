//! How sessions begin and end, one by one or all at once. Knows nothing of what is requested in
//! between.

use std::sync::Arc;

use super::{
    Capacity, Output, PeerId, Router,
    authorization::Authorization,
    protocol_violation,
    refusal::{Violation, abort},
    refuse_realm, send,
};
use wamp::{
    Abort, AuthMethod, ClosingDetails, Goodbye, Hello, Identity, RpcFeatures, TransportKind, Uri,
    Welcome, WelcomeDetails, error_uri,
};

impl Router {
    /// The first message of a peer.
    pub(super) fn hello(
        &mut self,
        peer: PeerId,
        hello: &Hello,
        authrole: &str,
        (transport, capacity): (TransportKind, Option<Capacity>),
        out: &mut Vec<Output>,
    ) {
        match self.admit(hello, authrole) {
            Ok(authorization) => {
                let features = hello.details.roles.callee.unwrap_or_default();
                let welcome = self.welcome(peer, authorization, transport, (features, capacity));
                out.push(send(peer, welcome));
                if self.has_shut_down {
                    self.go_away(peer, out);
                }
            }
            Err(abort) => {
                out.push(send(peer, abort));
                out.push(Output::Close { peer });
            }
        }
    }

    /// Whether a session may begin, and what it then may do.
    ///
    /// Source: WAMP specification, "Session Establishment"; "Basic Profile URIs"; for
    /// `authmethods`, "Authentication Methods".
    ///
    /// A router that shuts down still lets sessions begin, to end them with all the others: who is
    /// answered ABORT, or a Close frame before WELCOME, may take that for the end and never come
    /// again (AutobahnJS the one, AutobahnPython's `Component` the other).
    fn admit(&self, hello: &Hello, authrole: &str) -> Result<Arc<Authorization>, Abort> {
        if hello.realm != self.name {
            return Err(refuse_realm(hello));
        }
        if hello.details.roles.is_empty() {
            return Err(protocol_violation(
                "HELLO announces no role: it must announce at least one of caller, callee, \
                 publisher, subscriber",
            ));
        }
        // A client that lists none offers none in particular, as one that leaves the list out.
        let offered = hello.details.authmethods.as_deref().unwrap_or_default();
        let anonymous = AuthMethod::Anonymous.name();
        if !offered.is_empty() && !offered.iter().any(|method| method == anonymous) {
            return Err(abort(
                error_uri::NO_MATCHING_AUTH_METHOD,
                format!(
                    "of the authentication methods offered ({}) none is served: offer \
                     '{anonymous}'",
                    offered.join(", ")
                ),
            ));
        }
        self.roles.get(authrole).cloned().ok_or_else(|| {
            abort(
                error_uri::NO_SUCH_ROLE,
                format!(
                    "the realm '{}' has no role '{authrole}': add it to the realm's roles",
                    self.name
                ),
            )
        })
    }

    fn welcome(
        &mut self,
        peer: PeerId,
        authorization: Arc<Authorization>,
        transport: TransportKind,
        callee: (RpcFeatures, Option<Capacity>),
    ) -> Welcome {
        let session = loop {
            let id = self.ids.session();
            if !self.sessions.has_id(id) {
                break id;
            }
        };
        let authrole = authorization.role().clone();
        let identity = Arc::new(Identity::anonymous(session, authrole, transport));
        let details = WelcomeDetails::new(self.name.clone(), &identity, self.agent.clone()).into();
        self.sessions.join(peer, identity, authorization, callee);
        Welcome { session, details }
    }

    /// The client closes the session. Source: WAMP specification, "Session Closing".
    pub(super) fn goodbye(&mut self, peer: PeerId, out: &mut Vec<Output>) {
        self.dispose(peer, None, out);
        let goodbye = Goodbye {
            details: ClosingDetails::default(),
            reason: Uri::from(error_uri::GOODBYE_AND_OUT),
        };
        out.push(send(peer, goodbye));
        out.push(Output::Close { peer });
    }

    /// The client ends the session by ABORT: there is nothing to say.
    ///
    /// Source: WAMP specification, "ABORT": no response is expected.
    pub(super) fn close(&mut self, peer: PeerId, out: &mut Vec<Output>) {
        self.dispose(peer, None, out);
        out.push(Output::Close { peer });
    }

    /// Source: WAMP specification, "Protocol errors": ABORT, dispose of everything, hear nothing
    /// more, drop the connection.
    pub(super) fn violation(&mut self, peer: PeerId, why: Violation, out: &mut Vec<Output>) {
        self.dispose(peer, Some("it broke the protocol"), out);
        out.push(send(peer, protocol_violation(why.0)));
        out.push(Output::Close { peer });
    }

    /// Ends a session. Whoever waits for its answer gets an ERROR instead, and whoever works for
    /// it is interrupted. `fault` is what the session has done to end like this.
    pub(super) fn dispose(&mut self, peer: PeerId, fault: Option<&str>, out: &mut Vec<Output>) {
        if !self.sessions.is_joined(peer) {
            return;
        }
        self.abandon_waiting(peer, out);
        self.dealer.leave(&mut self.sessions, peer, fault, out);
        if let Some(session) = self.sessions.leave(peer) {
            self.broker.leave(peer, session.subscriptions);
        }
    }

    /// Ends every session, after every call has been answered.
    ///
    /// Not by GOODBYE, which clients take for the end of all business with this router: AutobahnJS
    /// and Wampy.js connect again after a lost transport and never after GOODBYE. A session ends
    /// as well "when the underlying transport disappears" (WAMP specification, "GOODBYE").
    pub(super) fn shut_down(&mut self, out: &mut Vec<Output>) {
        self.has_shut_down = true;
        self.dealer.drain();
        self.refuse_all_waiting(out);
        self.broker.shut_down(&mut self.sessions);
        self.dealer.shut_down(&mut self.sessions, out);
        for peer in self.sessions.peers() {
            self.go_away(peer, out);
        }
    }

    fn go_away(&mut self, peer: PeerId, out: &mut Vec<Output>) {
        self.dispose(peer, None, out);
        out.push(Output::GoAway { peer });
    }
}
