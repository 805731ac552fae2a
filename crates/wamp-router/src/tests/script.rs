//! The scripts: text in which peers send and expect messages. Knows the wire, not the rules.
//!
//! One thing happens a line, and all that it leads to must follow, in order and complete:
//!
//! ```text
//! 1 joins                                  HELLO and a WELCOME that is not looked at
//! 1 joins as backend                       the same in another role
//! 1 joins with call_canceling              the same as a callee with features
//! 1 joins in pool 9                        the same as one of those that can have 9 invocations
//! 1 > [64,1,{},"com.a"]                    peer 1 sends
//! 1 < [65,1,1]                             peer 1 receives
//! 1,2 < [36,1,1,{}]                        one output for several peers
//! 2 < [8,48,7,{},"wamp.error.x",["…"]]     `…` stands for any text
//! 1 deeply > [48,1,{},"com.a"]             the same with a payload nested too deep
//! 1 garbles                                peer 1 sends what is no message
//! 1 closed                                 the router closes peer 1's transport
//! 1 away                                   the same, because it shuts down
//! 1 gone                                   peer 1's transport is lost
//! 9 guards 1 com.t                         peer 9 is to be asked, as its guard 1, about a topic
//! 9 guards 1 prefix com.                   the same about all that match
//! 9 ends 1                                 it is not, any more
//! 9 asked 4 by 1: com.t for 101            it receives question 4, about session 101
//! 9 allows 4                               its answer
//! 9 denies 4 com.no                        the same, with an error
//! 9 unasked 4                              nobody waits for the answer
//! later 250                                the clock goes on by so many milliseconds
//! tick                                     the router is told so, and nothing else
//! deadline 250                             the next one is so many milliseconds away
//! deadline none
//! drain
//! shutdown
//! # why, for the reader
//! ```

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    Allow, Capacity, Disclose, IdSource, Input, Limits, MatchPolicy, Output, PeerId, Permission,
    RealmOptions, Role, Router,
};
use wamp::{
    Denial, GuardId, Message, Pattern, Payload, PublicationId, Question, Serializer, SessionId,
    Ticket, Verdict,
};

/// Sessions 101, 102, …; publications 501, 502, ….
pub(super) struct Counted {
    session: u64,
    publication: u64,
}

impl Counted {
    pub(super) fn boxed() -> Box<dyn IdSource> {
        Box::new(Self {
            session: 100,
            publication: 500,
        })
    }
}

impl IdSource for Counted {
    fn session(&mut self) -> SessionId {
        self.session += 1;
        SessionId::new(self.session).unwrap()
    }

    fn publication(&mut self) -> PublicationId {
        self.publication += 1;
        PublicationId::new(self.publication).unwrap()
    }
}

/// A permission for everything that begins with `uri`.
pub(super) fn prefix(uri: &str, allow: Allow) -> Permission {
    Permission {
        uri: uri.to_owned(),
        match_policy: MatchPolicy::Prefix,
        allow,
        disclose: Disclose::default(),
    }
}

/// `realm1`, whose role `anonymous` may do everything and whose role `open` tells who it is.
pub(super) fn realm() -> RealmOptions {
    let open = Permission {
        disclose: Disclose {
            caller: true,
            publisher: true,
        },
        ..prefix("", Allow::ALL)
    };
    RealmOptions {
        name: "realm1".into(),
        roles: vec![
            Role {
                name: "anonymous".into(),
                permissions: vec![prefix("", Allow::ALL)],
                authorizer: None,
            },
            Role {
                name: "open".into(),
                permissions: vec![open],
                authorizer: None,
            },
        ],
        agent: "wampgres-test".into(),
        limits: Limits::default(),
    }
}

/// Plays a script on [`realm`].
pub(super) fn play(text: &str) -> Router {
    play_on(realm(), text)
}

/// Plays a script.
pub(super) fn play_on(realm: RealmOptions, text: &str) -> Router {
    play_with(Router::new(realm, Counted::boxed()), text)
}

/// Plays a script on a router.
pub(super) fn play_with(router: Router, text: &str) -> Router {
    let mut script = Script {
        router,
        outputs: VecDeque::new(),
        now: Instant::now(),
    };
    for (at, line) in text.lines().map(str::trim).enumerate() {
        if !line.is_empty() && !line.starts_with('#') {
            script.line(&format!("line {at}, {line:?}"), line);
        }
    }
    script.expect_nothing("the end");
    script.router
}

struct Script {
    router: Router,
    /// What the router gave and no line has expected yet, as a line would.
    outputs: VecDeque<String>,
    /// The time of the script; it passes where the script says so.
    now: Instant,
}

impl Script {
    fn line(&mut self, place: &str, line: &str) {
        match line {
            "tick" => return self.handle(place, Input::Tick),
            "drain" => return self.handle(place, Input::Drain),
            "shutdown" => return self.handle(place, Input::Shutdown),
            _ => {}
        }
        let (peers, what) = line.split_once(' ').expect("a peer and what it does");
        let milliseconds = || Duration::from_millis(what.parse().expect("milliseconds"));
        match peers {
            "later" => return self.now += milliseconds(),
            "deadline" => {
                let expected = (what != "none").then(|| self.now + milliseconds());
                return assert_eq!(self.router.next_deadline(), expected, "{place}");
            }
            _ => {}
        }
        let outputs = ["closed", "away", "<", "asked", "unasked"];
        if outputs.contains(&what.split(' ').next().unwrap_or_default()) {
            let output = self.outputs.pop_front().unwrap_or_default();
            assert!(
                matches(line, &output),
                "{place}\n expected {line}\n but got  {output}"
            );
            return;
        }
        let peer = PeerId(peers.parse().expect("one peer"));
        match what.split_once(' ').unwrap_or((what, "")) {
            ("joins", how) => self.join(place, peer, how),
            ("says", hello) => self.hello(place, peer, hello, ("anonymous", None)),
            (">", message) => {
                let message = decode(message);
                self.handle(place, Input::Message { peer, message });
            }
            ("deeply", message) => {
                let message = decode(message.strip_prefix("> ").expect("a message"));
                self.handle(place, Input::TooDeep { peer, message });
            }
            ("garbles", _) => {
                let reason = "not a list".to_owned();
                self.handle(place, Input::Violation { peer, reason });
            }
            ("gone", _) => self.handle(place, Input::Gone { peer }),
            (what, about) => self.guard(place, peer, what, about),
        }
    }

    fn join(&mut self, place: &str, peer: PeerId, how: &str) {
        let (how, pool) = how.split_once("in pool ").unwrap_or((how, ""));
        let capacity = pool.parse().ok().map(|invocations| Capacity {
            pool: 1,
            invocations,
            settings: "queue_limit",
            mend: "raise queue_limit",
        });
        let (role, features) = how.split_once("with ").unwrap_or((how, ""));
        let role = role.trim().strip_prefix("as ").unwrap_or("anonymous");
        let features: Vec<_> = (features.split_whitespace())
            .map(|feature| format!(r#""{feature}":true"#))
            .collect();
        let features = features.join(",");
        let hello =
            format!(r#"[1,"realm1",{{"roles":{{"callee":{{"features":{{{features}}}}}}}}}]"#);
        self.hello(place, peer, &hello, (role, capacity));
        let welcome = self.outputs.pop_front().unwrap_or_default();
        assert!(
            welcome.starts_with(&format!("{} < [2,", peer.0)),
            "{place}: {welcome}"
        );
    }

    fn hello(
        &mut self,
        place: &str,
        peer: PeerId,
        text: &str,
        (authrole, capacity): (&str, Option<Capacity>),
    ) {
        let Message::Hello(hello) = decode(text) else {
            panic!("{place}: not a HELLO")
        };
        let authrole = authrole.to_owned();
        self.handle(
            place,
            Input::Hello {
                peer,
                hello,
                authrole,
                transport: wamp::TransportKind::Memory,
                capacity,
            },
        );
    }

    /// What a session that guards topics does.
    fn guard(&mut self, place: &str, peer: PeerId, what: &str, about: &str) {
        let (number, rest) = about.split_once(' ').unwrap_or((about, ""));
        let guard = GuardId(number.parse().expect("a number"));
        match what {
            "guards" => {
                let topics = match rest.split_once(' ').unwrap_or(("exact", rest)) {
                    ("prefix", uri) => Pattern::prefix(uri),
                    ("wildcard", uri) => Pattern::wildcard(uri),
                    (_, uri) => Pattern::exact(uri),
                };
                let input = Input::Guard {
                    peer,
                    guard,
                    topics,
                };
                self.handle(place, input);
            }
            "ends" => self.handle(place, Input::EndGuard { peer, guard }),
            "allows" => self.verdict(place, peer, number, Ok(())),
            "denies" => {
                let denial = Denial {
                    error: rest.into(),
                    payload: Payload::from_args(&["no"]).unwrap(),
                };
                self.verdict(place, peer, number, Err(denial.into()));
            }
            _ => panic!("{place}: no such thing can happen"),
        }
    }

    fn verdict(&mut self, place: &str, peer: PeerId, ticket: &str, verdict: Verdict) {
        let ticket = Ticket(ticket.parse().expect("a number"));
        self.handle(
            place,
            Input::Verdict {
                peer,
                ticket,
                verdict,
            },
        );
    }

    fn handle(&mut self, place: &str, input: Input) {
        self.expect_nothing(place);
        let mut outputs = Vec::new();
        self.router.handle(self.now, input, &mut outputs);
        self.router.check();
        self.outputs.extend(outputs.into_iter().map(written));
    }

    fn expect_nothing(&self, place: &str) {
        assert!(
            self.outputs.is_empty(),
            "before {place}\n nobody expected {:#?}",
            self.outputs
        );
    }
}

pub(super) fn decode(text: &str) -> Message {
    (Serializer::Json.decode(text.as_bytes())).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn encode(message: &Message) -> String {
    String::from_utf8(Serializer::Json.encode(message)).unwrap()
}

fn written(output: Output) -> String {
    match output {
        Output::Send { to, message } => format!("{} < {}", to.0, encode(&message)),
        Output::Invoke { to, invocation, .. } => {
            format!("{} < {}", to.0, encode(&invocation.into()))
        }
        Output::Event { to, event, .. } => {
            let to: Vec<_> = to.iter().map(|peer| peer.0.to_string()).collect();
            let event = Message::Event(event.as_ref().clone());
            format!("{} < {}", to.join(","), encode(&event))
        }
        Output::Ask { to, question } => {
            let Question {
                ticket,
                guard,
                identity,
                topic,
                ..
            } = *question;
            let session = identity.session;
            format!(
                "{} asked {} by {}: {topic} for {session}",
                to.0, ticket.0, guard.0
            )
        }
        Output::Withdraw { to, ticket } => format!("{} unasked {}", to.0, ticket.0),
        Output::Close { peer } => format!("{} closed", peer.0),
        Output::GoAway { peer } => format!("{} away", peer.0),
    }
}

/// Whether the text is the pattern, in which `…` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('…') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(head) else {
        return false;
    };
    (0..=rest.len())
        .filter(|at| rest.is_char_boundary(*at))
        .any(|at| matches(tail, &rest[at..]))
}
