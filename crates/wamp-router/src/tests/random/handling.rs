//! Owns how an input is handled and what every output of it has to be. Must not know which operation
//! it comes from.

use super::*;

impl World {
    /// Callers and callees are told what they are owed, in order, and nobody else anything.
    /// Returns how many calls were invoked.
    pub(super) fn expect(&mut self, mut outputs: Vec<Output>, owed: &[Said]) -> u64 {
        self.settle_questions(&mut outputs);
        let (said, rest) = said(outputs);
        assert_eq!((&said[..], &rest[..]), (owed, &[][..]));
        let count = |what: fn(&Said) -> bool| said.iter().filter(|said| what(said)).count() as u64;
        self.check_calls();
        count(|said| matches!(said, Said::Invocation { .. }))
    }

    /// The router counts calls and deadlines as the model does.
    pub(super) fn check_calls(&self) {
        let stats = self.router.stats();
        let (calls, requests, octets) = self.waits.counts();
        assert_eq!(stats.pending_invocations, self.calls.open() + calls);
        let waiting = (stats.waiting_requests, stats.waiting_octets);
        assert_eq!(waiting, (requests, octets));
        assert_eq!(self.router.to_go_on.is_some(), self.waits.has_ready());
        let queued = (stats.queued_calls, stats.queued_octets);
        assert_eq!(queued, self.calls.queued());
        let deadlines = [self.calls.next_deadline(), self.waits.next_deadline()];
        let deadline = deadlines.into_iter().flatten().min();
        let deadline = deadline.map(|at| self.at(at));
        if self.router.to_clear.is_some() || self.router.to_go_on.is_some() {
            assert_eq!(self.router.next_deadline(), Some(self.at(self.now)));
            return;
        }
        assert_eq!(self.router.next_deadline(), deadline);
    }

    pub(super) fn at(&self, milliseconds: u64) -> Instant {
        self.started + Duration::from_millis(milliseconds)
    }

    /// What an input leads to, after the calls whose time is up.
    pub(super) fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        (self.router).handle(self.at(self.now), input, &mut outputs);
        self.router.check();
        self.clearing += u64::from(self.router.to_clear.is_some());
        for output in &outputs {
            let is_joined = |peer: &PeerId| self.peers.contains_key(&peer.0);
            match output {
                Output::Send { to, message } => {
                    self.interrupts += u64::from(matches!(message, Message::Interrupt(_)));
                    let is_first = matches!(message, Message::Abort(_) | Message::Welcome(_));
                    assert!(is_first || is_joined(to), "only the joined are told");
                }
                Output::Invoke { to, caller, .. } => {
                    assert!(is_joined(to), "only the joined are asked");
                    let mut sessions = self.peers.values().map(|peer| peer.session);
                    assert!(sessions.any(|session| session == caller.session));
                }
                _ => {}
            }
        }
        self.waits.hear(&mut outputs);
        let owed = self.calls.expire(&self.peers, self.now);
        let later = outputs.split_off(owed.len().min(outputs.len()));
        let (expired, _) = said(std::mem::replace(&mut outputs, later));
        assert_eq!(expired, owed);
        let refused = self.waits.expire(self.now);
        let interrupts = self.end_questions();
        let count = refused.len() + interrupts.len();
        let later = outputs.split_off(count.min(outputs.len()));
        take_errors(&mut outputs, &refused);
        assert_eq!(said(outputs), (interrupts, Vec::new()));
        later
    }
}
