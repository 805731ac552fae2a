//! `wampgres subscribe`: prints the events of topics. Owns how many, and what ends it.

use std::{
    collections::HashMap,
    io::{self, Write},
    num::NonZeroU64,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use component::Classes;
use wamp::{Event, SubscribeOptions, SubscriptionId, Uri};

use super::client::{ConnectArgs, Failure, Session, Told, event_line, exit, exit_codes, seconds};

pub(super) const HELP: &str = concat!(
    "\
Examples:
  wampgres subscribe com.shop.sold | jq .args[0]
  wampgres subscribe com.shop.sold --count 1 --timeout 60   wait for one event

Each event is a line of JSON on standard output: its topic, its publication's id, args, kwargs, and who
has published it where the router discloses that. Standard error says when the subscription holds. A
signal (SIGINT, SIGTERM) ends the command, with exit code 0 unless --count is given.

",
    exit_codes!()
);

#[derive(Args)]
pub(super) struct SubscribeArgs {
    /// The topics
    #[arg(value_name = "TOPIC", required = true)]
    topics: Vec<String>,
    /// How the topics are compared with those of events. This version's own router has exact alone
    #[arg(long = "match", value_name = "POLICY", default_value = "exact")]
    match_policy: MatchPolicy,
    /// End after so many events
    #[arg(long, value_name = "N")]
    count: Option<NonZeroU64>,
    /// How long to wait for them in all [default: until a signal]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MatchPolicy {
    /// The same URI
    Exact,
    /// URIs that begin with the topic
    Prefix,
    /// An empty component of the topic stands for any
    Wildcard,
}

pub(super) fn run(args: &SubscribeArgs, classes: &Classes) -> ExitCode {
    exit("subscribe", subscribe(args, classes))
}

fn subscribe(args: &SubscribeArgs, classes: &Classes) -> Result<(), Failure> {
    let session = Session::open(&args.connect, classes)?;
    let mut subscriber = Subscriber {
        session: &session,
        topics: HashMap::new(),
        left: args.count.map(NonZeroU64::get),
    };
    let outcome = subscriber.run(args);
    session.leave();
    match outcome {
        Err(Failure::Interrupted) if args.count.is_none() => Ok(()),
        outcome => outcome,
    }
}

struct Subscriber<'a> {
    session: &'a Session,
    topics: HashMap<SubscriptionId, Uri>,
    /// How many events are still to come.
    left: Option<u64>,
}

impl Subscriber<'_> {
    fn run(&mut self, args: &SubscribeArgs) -> Result<(), Failure> {
        let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
        for topic in &args.topics {
            self.ask(topic.as_str().into(), args.match_policy)?;
            let _ = writeln!(io::stderr(), "subscribed to {topic}");
        }
        while self.left != Some(0) {
            if let Told::Event(event) = self.session.next(deadline)? {
                self.print(&event)?;
            }
        }
        Ok(())
    }

    /// Subscribes to one topic. Events of those before may come meanwhile.
    fn ask(&mut self, topic: Uri, match_policy: MatchPolicy) -> Result<(), Failure> {
        let named = match match_policy {
            MatchPolicy::Exact => None,
            MatchPolicy::Prefix => Some("prefix"),
            MatchPolicy::Wildcard => Some("wildcard"),
        };
        let options = SubscribeOptions {
            match_policy: named.map(str::to_owned),
            ..SubscribeOptions::default()
        };
        self.session.subscribe(topic.clone(), options);
        loop {
            match self.session.answer()? {
                Told::Subscribed(result) => {
                    let id = result.map_err(Failure::Refused)?;
                    self.topics.insert(id, topic);
                    return Ok(());
                }
                Told::Event(event) => self.print(&event)?,
                _ => {}
            }
        }
    }

    fn print(&mut self, event: &Event) -> Result<(), Failure> {
        if self.left == Some(0) {
            return Ok(());
        }
        let subscribed = self.topics.get(&event.subscription);
        let Some(topic) = event.details.topic.as_deref().or(subscribed) else {
            return Ok(());
        };
        writeln!(io::stdout(), "{}", event_line(topic, event))?;
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }
}
