//! The course of a run: reach the router, join, start the load, wait for its end, leave.
//! Runs on the caller's thread and looks on; must not know what a message says.

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Error, Limit, Load, Mode, Options, Report, Wait,
    run_state::{Mail, Shared},
    schedule::Pace,
};
use reactor::Reactor;

/// How often the run is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long the connections may take to do what they can do by themselves.
const TURN: Duration = Duration::from_secs(10);

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Sessions that are ready.
    pub ready: usize,
    /// Sessions that there are to be.
    pub sessions: usize,
    /// The part of the load that is done, from 0 to 1.
    pub fraction: f64,
    /// Operations that have ended since the load is measured.
    pub done: u64,
    /// Operations that ended in the last second.
    pub per_second: f64,
}

/// Puts a load on a router and measures it. `watch` is called ten times a second.
///
/// # Errors
/// [`Error`] when the router cannot be reached or goes away, lets no session in, or answers
/// wrongly.
///
/// # Blocking
/// Until the load and its answers have ended.
pub fn run(options: Options, watch: &mut dyn FnMut(&Progress)) -> Result<Report, Error> {
    let (address, first) = reach(&options)?;
    let mut reactor = Reactor::new()?;
    if options.wait == Wait::Asleep {
        reactor.wait_asleep();
    }
    let mailbox = reactor.mailbox();
    let shared = Arc::new(Shared::new(options, address, mailbox.clone()));
    let thread = std::thread::Builder::new()
        .name("bench".to_owned())
        .spawn(move || reactor.run())?;
    let mut conductor = Conductor {
        shared,
        watch,
        began: Instant::now(),
        seen: Vec::new(),
    };
    let outcome = conductor.conduct(first);
    mailbox.stop();
    thread
        .join()
        .map_err(|_| io::Error::other("the thread of the connections has panicked"))??;
    outcome
}

/// The address of the router, and the first connection to it, so that what is wrong shows now.
fn reach(options: &Options) -> Result<(SocketAddr, mio::net::TcpStream), Error> {
    let target = &options.target;
    let unreachable = |source| Error::Unreachable {
        url: target.url(),
        source,
    };
    let addresses = (target.host.as_str(), target.port)
        .to_socket_addrs()
        .map_err(unreachable)?;
    let mut failure = io::Error::other("the host has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, options.patience) {
            Ok(socket) => {
                socket.set_nonblocking(true)?;
                return Ok((address, mio::net::TcpStream::from_std(socket)));
            }
            Err(error) => failure = error,
        }
    }
    Err(unreachable(failure))
}

struct Conductor<'a> {
    shared: Arc<Shared>,
    watch: &'a mut dyn FnMut(&Progress),
    /// When this part of the run began.
    began: Instant,
    /// When so many operations had ended, for the last second.
    seen: Vec<(Instant, u64)>,
}

impl Conductor<'_> {
    fn conduct(&mut self, first: mio::net::TcpStream) -> Result<Report, Error> {
        self.join(first)?;
        match self.shared.options.mode {
            Mode::Connect => self.stay()?,
            _ => self.load()?,
        }
        self.leave()?;
        let run = self.shared.run();
        Ok(Report::new(&self.shared.options, &run))
    }

    /// Lets all sessions join.
    fn join(&mut self, first: mio::net::TcpStream) -> Result<(), Error> {
        {
            let mut run = self.shared.run();
            self.began = Instant::now();
            run.last_sign = self.began;
            if self.shared.options.mode == Mode::Connect {
                run.measure.start(self.began);
            }
            self.shared.open(first, &mut run);
            self.shared.open_more(&mut run);
        }
        self.look_until(None, |this| {
            let run = this.shared.run();
            let patience = this.shared.options.patience;
            if run.ready < run.sessions && run.last_sign.elapsed() > patience {
                return Err(Error::NotReady {
                    ready: run.ready,
                    wanted: run.sessions,
                    patience,
                });
            }
            Ok(run.ready >= run.sessions)
        })
    }

    /// Lets the sessions be there, and nothing else.
    fn stay(&mut self) -> Result<(), Error> {
        self.began = Instant::now();
        match self.shared.options.limit {
            Limit::Duration(time) => {
                let until = self.began + time;
                self.look_until(Some(until), |_| Ok(Instant::now() >= until))
            }
            Limit::Operations(_) => Ok(()),
        }
    }

    /// Puts the load on and waits until all of it has ended.
    fn load(&mut self) -> Result<(), Error> {
        let options = &self.shared.options;
        let (load, limit) = (options.load, options.limit);
        self.began = Instant::now();
        let from = self.began + options.warmup;
        {
            let mut run = self.shared.run();
            run.measure.start(from);
            run.last_sign = self.began;
            match limit {
                Limit::Duration(time) => run.bounds.until = Some(from + time),
                Limit::Operations(most) => run.bounds.most = most,
            }
            if let Load::Open { rate } = load {
                let sessions = self.shared.options.beginners().len() as u64;
                run.bounds.pace = Some(match limit {
                    Limit::Duration(time) => Pace::until(from + time, self.began, rate, sessions),
                    Limit::Operations(most) => Pace::of(most, from, self.began, rate, sessions),
                });
            }
            self.shared.tell_all(&run, Mail::Go);
        }
        let until = self.shared.run().bounds.until;
        self.look_until(until, |this| {
            this.check_patience()?;
            if this.shared.run().is_over(Instant::now()) {
                return Ok(true);
            }
            this.check_success()?;
            Ok(false)
        })
    }

    /// Lets all sessions say GOODBYE. What was wrong until then has come by then.
    fn leave(&mut self) -> Result<(), Error> {
        self.end_sessions(Mail::Leave, self.shared.options.patience)?;
        // A router that does not answer GOODBYE may have answered all else, or not even that.
        self.end_sessions(Mail::Part, TURN)
    }

    /// Tells the sessions to end, and waits until all have or none has for the patience.
    fn end_sessions(&mut self, mail: Mail, patience: Duration) -> Result<(), Error> {
        {
            let mut run = self.shared.run();
            run.last_sign = Instant::now();
            self.shared.tell_all(&run, mail);
        }
        self.look_until(None, |this| {
            let run = this.shared.run();
            Ok(run.left == run.sessions || run.last_sign.elapsed() > patience)
        })
    }

    /// Looks on until `is_done`, at least at `until`.
    fn look_until(
        &mut self,
        until: Option<Instant>,
        is_done: impl Fn(&Self) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        loop {
            self.look()?;
            if is_done(self)? {
                return Ok(());
            }
            let now = Instant::now();
            let look_at = until
                .filter(|until| *until > now)
                .map_or(now + LOOK, |u| u.min(now + LOOK));
            let run = self.shared.run();
            drop(self.shared.wait(run, look_at));
        }
    }

    /// Sees whether the run has failed, and shows how far it is.
    fn look(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let (ready, sessions, done, ends) = {
            let mut run = self.shared.run();
            run.take_failure()?;
            (run.ready, run.sessions, run.measure.ended(), run.ends)
        };
        self.seen
            .retain(|(at, _)| now.duration_since(*at) <= Duration::from_secs(1));
        self.seen.push((now, done));
        let (at, before) = self.seen[0];
        let seconds = now.duration_since(at).as_secs_f64();
        let fraction = match self.shared.options.limit {
            Limit::Duration(time) => {
                let time = self.shared.options.warmup + time;
                now.duration_since(self.began).as_secs_f64() / time.as_secs_f64()
            }
            Limit::Operations(most) => done as f64 / (most as f64 * ends as f64),
        };
        (self.watch)(&Progress {
            ready,
            sessions,
            fraction: if ready < sessions {
                0.0
            } else {
                fraction.clamp(0.0, 1.0)
            },
            done,
            per_second: if seconds > 0.0 {
                (done - before) as f64 / seconds
            } else {
                0.0
            },
        });
        Ok(())
    }

    /// Gives up a run that has had nothing but errors for too long.
    fn check_success(&self) -> Result<(), Error> {
        let patience = self.shared.options.patience;
        match self.shared.run().only_errors() {
            Some(errors) if self.began.elapsed() > patience => Err(Error::GivenUp {
                patience,
                errors: errors.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Gives up a router that owes an answer and has been silent for too long.
    fn check_patience(&self) -> Result<(), Error> {
        let patience = self.shared.options.patience;
        let mut run = self.shared.run();
        if run.owed == 0 || run.last_sign.elapsed() <= patience {
            return Ok(());
        }
        run.example = None;
        self.shared.tell_all(&run, Mail::Tell);
        let until = Instant::now() + TURN;
        while run.example.is_none() && Instant::now() < until {
            run = self.shared.wait(run, until);
        }
        Err(Error::Lost {
            count: run.owed,
            patience,
            example: run
                .example
                .take()
                .unwrap_or_else(|| "nobody knows which".to_owned()),
        })
    }
}
