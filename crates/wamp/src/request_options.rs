//! The Options of what clients request: which are served, and which are not but would change what
//! happens. Must not know how they are read, nor who refuses a request for an option.
//!
//! Every option of the specification stands here, or is one that changes nothing for anybody:
//! unknown keys are ignored ("Extensibility"). No option that restricts who receives, who is called
//! or what happens is: it is served, or noted as a [`BadOption`], for which the request is refused.
//! The same becomes of an option that is served and has a value of the wrong type.

use std::{collections::BTreeSet, num::NonZeroU64};

use serde::{Serialize, de::MapAccess};

use super::{
    BadOption, SessionId,
    options::is_false,
    options_dict::{OptionsDict, Read, common, list, not_served, read_as_dict, served},
};

/// `CALL.Options|dict`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CallOptions {
    /// After how many milliseconds the call is canceled if there is no result yet; 0 is never.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: u64,
    /// Whether the caller takes the result in parts.
    #[serde(skip_serializing_if = "is_false")]
    pub receive_progress: bool,
    /// Whether the callee is to know who calls.
    #[serde(skip_serializing_if = "is_false")]
    pub disclose_me: bool,
    /// What the call is to be refused for.
    #[serde(skip)]
    pub bad: Option<Box<BadOption>>,
}

/// `REGISTER.Options|dict`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct RegisterOptions {
    /// The pattern to match procedures by; the Basic Profile has `exact` alone.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_policy: Option<String>,
    /// How several callees share a procedure; the Basic Profile has `single` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoke: Option<String>,
    /// How many invocations the callee takes at a time; more calls wait at the dealer. Not in
    /// the specification; the name and the meaning are Crossbar.io's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU64>,
    /// Whether the procedure is taken over from a callee that has it. Not in the specification;
    /// the name and the meaning are Crossbar.io's.
    #[serde(skip_serializing_if = "is_false")]
    pub force_reregister: bool,
    /// What the registration is to be refused for.
    #[serde(skip)]
    pub bad: Option<Box<BadOption>>,
}

/// `SUBSCRIBE.Options|dict`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct SubscribeOptions {
    /// The pattern to match topics by; the Basic Profile has `exact` alone.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_policy: Option<String>,
    /// What the subscription is to be refused for.
    #[serde(skip)]
    pub bad: Option<Box<BadOption>>,
}

/// `PUBLISH.Options|dict`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PublishOptions {
    /// Whether the publisher wants a PUBLISHED or an ERROR in answer. Default: no.
    pub acknowledge: bool,
    /// Whether the publisher is left out even if it subscribes to the topic. Default: yes.
    pub exclude_me: bool,
    /// Whether the subscribers are to know who publishes.
    #[serde(skip_serializing_if = "is_false")]
    pub disclose_me: bool,
    /// Which subscribers receive the event, where not all of them do.
    #[serde(flatten)]
    pub receivers: Option<Box<Receivers>>,
    /// What the publication is to be refused for.
    #[serde(skip)]
    pub bad: Option<Box<BadOption>>,
}

/// The lists in `PUBLISH.Options|dict` that restrict who receives the event. All hold at once, and
/// an empty list of the eligible is nobody.
///
/// Source: WAMP specification, "Subscriber Black- and Whitelisting".
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Receivers {
    /// Sessions that alone may receive it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eligible: Option<BTreeSet<SessionId>>,
    /// The authids of such sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eligible_authid: Option<BTreeSet<String>>,
    /// The roles of such sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eligible_authrole: Option<BTreeSet<String>>,
    /// Sessions that must not receive it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<BTreeSet<SessionId>>,
    /// The authids of such sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_authid: Option<BTreeSet<String>>,
    /// The roles of such sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_authrole: Option<BTreeSet<String>>,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl PublishOptions {
    pub(super) const DEFAULT: Self = Self {
        acknowledge: false,
        exclude_me: true,
        disclose_me: false,
        receivers: None,
        bad: None,
    };
}

impl CallOptions {
    pub(super) const DEFAULT: Self = Self {
        timeout: 0,
        receive_progress: false,
        disclose_me: false,
        bad: None,
    };
}

impl OptionsDict for CallOptions {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Read<A::Error> {
        match key {
            "timeout" => served(map, "timeout", &mut self.timeout),
            "receive_progress" => served(map, "receive_progress", &mut self.receive_progress),
            "disclose_me" => served(map, "disclose_me", &mut self.disclose_me),
            // "Progressive Call Invocations".
            "progress" => not_served(map, "progress"),
            // "Sharded Registration".
            "runmode" => not_served(map, "runmode"),
            "rkey" => not_served(map, "rkey"),
            _ => common(map, key),
        }
    }

    fn refuse(&mut self, bad: BadOption) {
        self.bad.get_or_insert_with(|| Box::new(bad));
    }
}

impl OptionsDict for RegisterOptions {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Read<A::Error> {
        match key {
            "match" => served(map, "match", &mut self.match_policy),
            "invoke" => served(map, "invoke", &mut self.invoke),
            "concurrency" => served(map, "concurrency", &mut self.concurrency),
            "force_reregister" => served(map, "force_reregister", &mut self.force_reregister),
            // "Caller Identification": whether a callee may ask is left to the dealer.
            "disclose_caller" => not_served(map, "disclose_caller"),
            "nkey" => not_served(map, "nkey"),
            _ => common(map, key),
        }
    }

    fn refuse(&mut self, bad: BadOption) {
        self.bad.get_or_insert_with(|| Box::new(bad));
    }
}

impl OptionsDict for SubscribeOptions {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Read<A::Error> {
        match key {
            "match" => served(map, "match", &mut self.match_policy),
            // "Event Retention".
            "get_retained" => not_served(map, "get_retained"),
            // "Sharded Subscription".
            "nkey" => not_served(map, "nkey"),
            _ => common(map, key),
        }
    }

    fn refuse(&mut self, bad: BadOption) {
        self.bad.get_or_insert_with(|| Box::new(bad));
    }
}

impl OptionsDict for PublishOptions {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Read<A::Error> {
        match key {
            "acknowledge" => {
                let bad = served(map, "acknowledge", &mut self.acknowledge)?;
                // Whoever writes it wants to hear something.
                self.acknowledge |= bad.is_some();
                Ok(bad)
            }
            "exclude_me" => served(map, "exclude_me", &mut self.exclude_me),
            "disclose_me" => served(map, "disclose_me", &mut self.disclose_me),
            "eligible" => list(map, "eligible", &mut self.receivers().eligible),
            "eligible_authid" => list(
                map,
                "eligible_authid",
                &mut self.receivers().eligible_authid,
            ),
            "eligible_authrole" => list(
                map,
                "eligible_authrole",
                &mut self.receivers().eligible_authrole,
            ),
            "exclude" => list(map, "exclude", &mut self.receivers().exclude),
            "exclude_authid" => list(map, "exclude_authid", &mut self.receivers().exclude_authid),
            "exclude_authrole" => list(
                map,
                "exclude_authrole",
                &mut self.receivers().exclude_authrole,
            ),
            // "Event Retention".
            "retain" => not_served(map, "retain"),
            // "Sharded Subscription".
            "rkey" => not_served(map, "rkey"),
            _ => common(map, key),
        }
    }

    fn refuse(&mut self, bad: BadOption) {
        self.bad.get_or_insert_with(|| Box::new(bad));
    }
}

impl PublishOptions {
    fn receivers(&mut self) -> &mut Receivers {
        self.receivers.get_or_insert_default()
    }
}

read_as_dict!(CallOptions RegisterOptions SubscribeOptions PublishOptions);

fn is_zero(value: &u64) -> bool {
    *value == 0
}
