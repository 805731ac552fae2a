//! `wampgres publish`: publishes an event, or one for each line of its input. Owns what it prints.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Args;
use component::Classes;
use wamp::{Payload, PublicationId, PublishOptions, Uri};

use super::client::{
    ConnectArgs, Failure, PayloadArgs, Session, Source, Told, exit, exit_codes, input,
};

pub(super) const HELP: &str = concat!(
    "\
Examples:
  wampgres publish com.shop.sold 17 -k amount=2
  wampgres subscribe com.a | jq -c '{args, kwargs}' | wampgres publish com.b --input -

Each publication that the router has acknowledged is a line of JSON on standard output, with its id:
{\"publication\": 4711}. An --input may have any number of JSON values: each is an event, which is
published as soon as it is read.

",
    exit_codes!()
);

#[derive(Args)]
pub(super) struct PublishArgs {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    #[command(flatten)]
    payload: PayloadArgs,
    /// Do not ask whether the router accepts the event, and print nothing
    #[arg(long)]
    no_acknowledge: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) fn run(args: &PublishArgs, classes: &Classes) -> ExitCode {
    exit("publish", publish(args, classes))
}

fn publish(args: &PublishArgs, classes: &Classes) -> Result<(), Failure> {
    let source = args.payload.source()?;
    let session = Session::open(&args.connect, classes)?;
    let publisher = Publisher {
        session: &session,
        topic: args.topic.as_str().into(),
        is_acknowledged: !args.no_acknowledge,
    };
    let outcome = match source {
        Source::CommandLine(payload) => publisher.one(payload),
        Source::Input(file) => publisher.all(file),
    };
    // Without acknowledgements, the answer to GOODBYE says that the router has had all.
    session.leave();
    outcome
}

struct Publisher<'a> {
    session: &'a Session,
    topic: Uri,
    is_acknowledged: bool,
}

impl Publisher<'_> {
    fn one(&self, payload: Payload) -> Result<(), Failure> {
        self.publish(payload)?;
        if !self.is_acknowledged {
            return Ok(());
        }
        loop {
            if let Told::Published(result) = self.session.answer()? {
                return acknowledged(result);
            }
        }
    }

    /// Publishes all of an input. What has no answer yet takes room from what is read next.
    fn all(&self, file: &Path) -> Result<(), Failure> {
        input::read_all(file, self.session.teller())?;
        let (mut unanswered, mut end) = (0, None);
        while end.is_none() || unanswered > 0 {
            let told = match unanswered {
                0 => self.session.next(None),
                _ => self.session.answer(),
            };
            match told? {
                Told::Input(Ok(Some(payload))) => {
                    self.publish(payload)?;
                    if self.is_acknowledged {
                        unanswered += 1;
                    } else {
                        self.session.give_room();
                    }
                }
                Told::Input(Ok(None)) => end = Some(Ok(())),
                Told::Input(Err(why)) => end = Some(Err(Failure::Usage(why))),
                Told::Published(result) => {
                    acknowledged(result)?;
                    unanswered -= 1;
                    self.session.give_room();
                }
                _ => {}
            }
        }
        end.unwrap_or(Ok(()))
    }

    fn publish(&self, payload: Payload) -> Result<(), Failure> {
        let (topic, options) = (self.topic.clone(), PublishOptions::default());
        if self.is_acknowledged {
            self.session.publish(topic, options, payload);
            return Ok(());
        }
        let sent = self.session.client.publish(topic, options, payload);
        sent.map_err(|error| Failure::NoSession(error.to_string()))
    }
}

fn acknowledged(result: Result<PublicationId, wamp_client::Error>) -> Result<(), Failure> {
    let publication = result.map_err(Failure::Refused)?;
    writeln!(io::stdout(), "{{\"publication\":{publication}}}")?;
    Ok(())
}
