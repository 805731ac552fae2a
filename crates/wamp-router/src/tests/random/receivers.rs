//! Lists that restrict who receives an event: some at random, and whom they admit.

use super::{Peer, Random};
use wamp::Receivers;

impl Peer {
    /// Whether the lists of a publication admit it, one after the other.
    pub(super) fn is_admitted(&self, lists: &Receivers) -> bool {
        let (session, authid) = (&self.session, self.session.value().to_string());
        let role = self.authrole;
        let is_left_out = [
            (lists.eligible.as_ref()).is_some_and(|list| !list.contains(session)),
            (lists.eligible_authid.as_ref()).is_some_and(|list| !list.contains(&authid)),
            (lists.eligible_authrole.as_ref()).is_some_and(|list| !list.contains(role)),
            (lists.exclude.as_ref()).is_some_and(|list| list.contains(session)),
            (lists.exclude_authid.as_ref()).is_some_and(|list| list.contains(&authid)),
            (lists.exclude_authrole.as_ref()).is_some_and(|list| list.contains(role)),
        ];
        !is_left_out.contains(&true)
    }
}

/// Lists that restrict who receives an event, mostly none.
pub(super) fn lists(random: &mut Random, sessions: &[u64]) -> String {
    let some = |random: &mut Random| -> Vec<u64> {
        let count = random.below(5);
        (0..count).filter_map(|_| random.one_of(sessions)).collect()
    };
    let mut lists = String::new();
    for option in ["eligible", "exclude"] {
        if random.below(4) == 0 {
            lists += &format!(r#","{option}":{:?}"#, some(random));
        }
        if random.below(8) == 0 {
            let authids: Vec<String> = some(random).iter().map(u64::to_string).collect();
            lists += &format!(r#","{option}_authid":{authids:?}"#);
        }
        if random.below(8) == 0 {
            let roles = random.one_of(&["[]", r#"["open"]"#, r#"["anonymous","open"]"#]);
            lists += &format!(r#","{option}_authrole":{}"#, roles.expect("some"));
        }
    }
    lists
}
