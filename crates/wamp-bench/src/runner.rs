//! Runs a load from its beginning to its end, on the caller's thread: reaches the router, lets the
//! sessions join, starts the load, waits until it is over, lets them leave. Must not know what a
//! message says.

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

use reactor::Reactor;

use super::{
    client_connection::ClientConnection,
    error::Error,
    options::{Load, Mode, RunLimit, RunOptions, Wait},
    report::RunReport,
    schedule::Schedule,
    shared_run::SharedRun,
    workload::SessionCommand,
    workloads::new_workload,
};

/// How often the runner looks at the run, at least.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long the sessions may take to follow a command without waiting for the router.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct RunProgress {
    /// Sessions that are ready.
    pub ready: usize,
    /// Sessions that the run has in all.
    pub sessions: usize,
    /// How much of the load is done, from 0 to 1.
    pub fraction: f64,
    /// Completions since the load is measured.
    pub done: u64,
    /// Completions in the last second.
    pub per_second: f64,
}

/// Puts a load on a router and measures it. `watch` is called ten times a second.
///
/// # Errors
/// [`Error`] when the router cannot be reached or goes away, lets no session in, or answers
/// wrongly.
///
/// # Blocking
/// Until the load is over and its sessions have left.
pub fn run(options: RunOptions, watch: &mut dyn FnMut(&RunProgress)) -> Result<RunReport, Error> {
    let (address, first) = reach(&options)?;
    let mut reactor = Reactor::new()?;
    if options.wait == Wait::Asleep {
        reactor.wait_asleep();
    }
    let mailbox = reactor.mailbox();
    let shared = Arc::new(SharedRun::new(
        options,
        address,
        mailbox.clone(),
        new_workload,
    ));
    let thread = std::thread::Builder::new()
        .name("bench".to_owned())
        .spawn(move || reactor.run())?;
    let mut runner = Runner {
        shared,
        watch,
        began: Instant::now(),
        history: Vec::new(),
    };
    let outcome = runner.run(first);
    mailbox.stop();
    thread
        .join()
        .map_err(|_| io::Error::other("the thread of the connections has panicked"))??;
    outcome
}

/// Makes the first connection to the router, so that an unreachable one is found out at once.
/// Returns it with the address it leads to.
fn reach(options: &RunOptions) -> Result<(SocketAddr, mio::net::TcpStream), Error> {
    let router = &options.router;
    let unreachable = |source| Error::Unreachable {
        url: router.url(),
        source,
    };
    let addresses = (router.host.as_str(), router.port)
        .to_socket_addrs()
        .map_err(unreachable)?;
    let mut failure = io::Error::other("the host has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, options.timeout) {
            Ok(socket) => {
                socket.set_nonblocking(true)?;
                return Ok((address, mio::net::TcpStream::from_std(socket)));
            }
            Err(error) => failure = error,
        }
    }
    Err(unreachable(failure))
}

struct Runner<'a> {
    shared: Arc<SharedRun>,
    watch: &'a mut dyn FnMut(&RunProgress),
    /// When this part of the run began.
    began: Instant,
    /// How many completions there had been at moments of the last second.
    history: Vec<(Instant, u64)>,
}

impl Runner<'_> {
    fn run(&mut self, first: mio::net::TcpStream) -> Result<RunReport, Error> {
        self.join(first)?;
        match self.shared.options.mode {
            Mode::Connect => self.stay()?,
            _ => self.load()?,
        }
        self.leave()?;
        let run = self.shared.state();
        Ok(RunReport::new(&self.shared.options, &run))
    }

    /// Lets all sessions join.
    fn join(&mut self, first: mio::net::TcpStream) -> Result<(), Error> {
        {
            let mut run = self.shared.state();
            self.began = Instant::now();
            run.last_activity = self.began;
            if self.shared.options.mode == Mode::Connect {
                run.samples.start(self.began);
            }
            ClientConnection::adopt(first, &self.shared, &mut run);
            ClientConnection::open_more(&self.shared, &mut run);
        }
        self.look_until(None, |this| {
            let run = this.shared.state();
            let timeout = this.shared.options.timeout;
            if run.ready < run.sessions && run.last_activity.elapsed() > timeout {
                return Err(Error::NotReady {
                    ready: run.ready,
                    wanted: run.sessions,
                    timeout,
                });
            }
            Ok(run.ready >= run.sessions)
        })
    }

    /// Lets the sessions stay for as long as they should.
    fn stay(&mut self) -> Result<(), Error> {
        self.began = Instant::now();
        match self.shared.options.limit {
            RunLimit::Duration(time) => {
                let until = self.began + time;
                self.look_until(Some(until), |_| Ok(Instant::now() >= until))
            }
            RunLimit::Operations(_) => Ok(()),
        }
    }

    /// Starts the load and waits until it is over.
    fn load(&mut self) -> Result<(), Error> {
        let options = &self.shared.options;
        let (load, limit) = (options.load, options.limit);
        self.began = Instant::now();
        let from = self.began + options.warmup;
        {
            let mut run = self.shared.state();
            run.samples.start(from);
            run.last_activity = self.began;
            match limit {
                RunLimit::Duration(time) => run.bounds.until = Some(from + time),
                RunLimit::Operations(most) => run.bounds.most = most,
            }
            if let Load::Open { rate } = load {
                let sessions = self.shared.options.active_sessions().len() as u64;
                run.bounds.schedule = Some(match limit {
                    RunLimit::Duration(time) => {
                        Schedule::until(from + time, self.began, rate, sessions)
                    }
                    RunLimit::Operations(most) => {
                        Schedule::of_count(most, from, self.began, rate, sessions)
                    }
                });
            }
            self.shared.tell_all(&run, SessionCommand::Start);
        }
        let until = self.shared.state().bounds.until;
        self.look_until(until, |this| {
            this.check_silence()?;
            if this.shared.state().is_over(Instant::now()) {
                return Ok(true);
            }
            this.check_success()?;
            Ok(false)
        })
    }

    /// Lets all sessions say GOODBYE. Whatever went wrong before has shown by its answer.
    fn leave(&mut self) -> Result<(), Error> {
        self.end_sessions(SessionCommand::Leave, self.shared.options.timeout)?;
        // A router that does not answer GOODBYE may have answered everything else.
        self.end_sessions(SessionCommand::Abandon, COMMAND_TIMEOUT)
    }

    /// Tells the sessions to end. Waits until all have left, or none has for the timeout.
    fn end_sessions(&mut self, command: SessionCommand, timeout: Duration) -> Result<(), Error> {
        {
            let mut run = self.shared.state();
            run.last_activity = Instant::now();
            self.shared.tell_all(&run, command);
        }
        self.look_until(None, |this| {
            let run = this.shared.state();
            Ok(run.left == run.sessions || run.last_activity.elapsed() > timeout)
        })
    }

    /// Looks at the run until `is_done`, also at the moment `until`.
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
                .map_or(now + LOOK_INTERVAL, |until| until.min(now + LOOK_INTERVAL));
            let run = self.shared.state();
            drop(self.shared.wait(run, look_at));
        }
    }

    /// Fails if the run has failed, and shows how far it is.
    fn look(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let (ready, sessions, done, completions) = {
            let mut run = self.shared.state();
            run.take_failure()?;
            (
                run.ready,
                run.sessions,
                run.samples.count(),
                run.completions_per_operation,
            )
        };
        self.history
            .retain(|(at, _)| now.duration_since(*at) <= Duration::from_secs(1));
        self.history.push((now, done));
        let (at, before) = self.history[0];
        let seconds = now.duration_since(at).as_secs_f64();
        let fraction = match self.shared.options.limit {
            RunLimit::Duration(time) => {
                let time = self.shared.options.warmup + time;
                now.duration_since(self.began).as_secs_f64() / time.as_secs_f64()
            }
            RunLimit::Operations(most) => done as f64 / (most as f64 * completions as f64),
        };
        (self.watch)(&RunProgress {
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

    /// Gives up if calls have been answered with errors only for too long.
    fn check_success(&self) -> Result<(), Error> {
        let timeout = self.shared.options.timeout;
        match self.shared.state().only_errors() {
            Some(errors) if self.began.elapsed() > timeout => Err(Error::GivenUp {
                timeout,
                errors: errors.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Gives up if answers are outstanding and the router has been silent for too long.
    fn check_silence(&self) -> Result<(), Error> {
        let timeout = self.shared.options.timeout;
        let mut run = self.shared.state();
        if run.outstanding == 0 || run.last_activity.elapsed() <= timeout {
            return Ok(());
        }
        run.example = None;
        self.shared.tell_all(&run, SessionCommand::Explain);
        let until = Instant::now() + COMMAND_TIMEOUT;
        while run.example.is_none() && Instant::now() < until {
            run = self.shared.wait(run, until);
        }
        Err(Error::Lost {
            count: run.outstanding,
            timeout,
            example: run
                .example
                .take()
                .unwrap_or_else(|| "nobody knows which".to_owned()),
        })
    }
}
