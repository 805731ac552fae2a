//! The connections of a run: opens them, and gives each session what comes over its socket. Must
//! not know what a message says.

use std::{io, mem, sync::Arc, time::Instant};

use mio::net::TcpStream;
use reactor::{Io, Protocol};

use super::{
    client_output::{ClientOutputs, SessionClient},
    client_session::ClientSession,
    error::{Error, SessionError},
    run_state::RunState,
    shared_run::SharedRun,
    workload::{SessionCommand, SessionContext},
};

/// So many sessions are joining at any time.
const JOINING: usize = 64;

/// A connection on the reactor, with its session.
pub(super) struct ClientConnection {
    /// The number of its session.
    number: usize,
    shared: Arc<SharedRun>,
    opened: Instant,
    client: Arc<SessionClient>,
    session: ClientSession,
}

impl ClientConnection {
    /// Takes a socket for the next session.
    pub(super) fn adopt(socket: TcpStream, shared: &Arc<SharedRun>, run: &mut RunState) {
        let workload = (shared.new_workload)(run.opened, &shared.options);
        let connection = Self {
            number: run.opened,
            shared: shared.clone(),
            opened: Instant::now(),
            client: ClientOutputs::default().client(&shared.options),
            session: ClientSession::new(workload),
        };
        run.opened += 1;
        shared.mailbox.adopt(socket, Box::new(connection));
    }

    /// Connects as many more sessions as may be joining at once. Does not block.
    pub(super) fn open_more(shared: &Arc<SharedRun>, run: &mut RunState) {
        while run.opened < run.sessions.min(run.ready + JOINING) {
            match TcpStream::connect(shared.address) {
                Ok(socket) => Self::adopt(socket, shared, run),
                Err(source) => {
                    let url = shared.options.router.url();
                    let connections = run.opened;
                    return run.fail(if source.kind() == io::ErrorKind::AddrNotAvailable {
                        // This machine's, not the router's: that one has been connected to.
                        Error::NoPort { url, connections }
                    } else {
                        Error::Unreachable { url, source }
                    });
                }
            }
        }
    }

    /// Does something with the session while the run is locked. An error ends the run.
    fn with_session(
        &mut self,
        io: &mut Io<'_>,
        bytes_in: usize,
        f: impl FnOnce(&mut ClientSession, &mut SessionContext<'_>) -> Result<(), SessionError>,
    ) {
        let mut run = self.shared.state();
        let ready = run.ready;
        let before = io.out().len();
        // Not `io.now`: the connections before this one in the turn of the loop took time.
        let now = Instant::now();
        let mut context = SessionContext {
            session: self.number,
            opened: self.opened,
            now,
            options: &self.shared.options,
            client: &self.client,
            mailbox: &self.shared.mailbox,
            run: &mut run,
            out: io.out(),
        };
        let outcome = f(&mut self.session, &mut context);
        let bytes_out = context.out.len() - before;
        run.samples.bytes(now, bytes_in, bytes_out);
        if let Err(error) = outcome {
            self.session.end();
            run.session_failed(self.number, error);
        }
        if run.ready > ready {
            Self::open_more(&self.shared, &mut run);
        }
        if mem::take(&mut run.has_changed) || run.is_over(now) {
            self.shared.notify();
        }
    }
}

impl Protocol<SessionCommand> for ClientConnection {
    fn on_open(&mut self, io: &mut Io<'_>) {
        io.set_nodelay(true);
        let id = io.id;
        self.with_session(io, 0, |session, context| {
            context.run.connections[context.session] = Some(id);
            session.open(context)
        });
    }

    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        self.with_session(io, bytes.len(), |session, context| {
            session.on_bytes(bytes, context)
        });
        if self.session.is_over() {
            io.close();
        }
    }

    fn on_mail(&mut self, command: SessionCommand, io: &mut Io<'_>) {
        if self.session.is_over() {
            return;
        }
        self.with_session(io, 0, |session, context| {
            session.on_command(command, context)
        });
        io.set_deadline(self.session.next_due());
    }

    fn on_deadline(&mut self, io: &mut Io<'_>) {
        if self.session.is_over() {
            return;
        }
        self.with_session(io, 0, ClientSession::begin_due);
        io.set_deadline(self.session.next_due());
    }

    fn on_lost(&mut self) {
        if let Some(error) = self.session.on_lost() {
            self.shared.state().session_failed(self.number, error);
            self.shared.notify();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reactor::Reactor;
    use wamp::Serializer;

    use super::*;
    use crate::{Load, Mode, RouterUrl, RunLimit, RunOptions, Wait, workloads::new_workload};

    #[test]
    fn a_socket_that_the_system_does_not_watch_is_not_the_routers_fault() {
        let options = RunOptions {
            router: RouterUrl::new("ws://127.0.0.1:1").expect("an address"),
            realm: "realm1".to_owned(),
            mode: Mode::Connect,
            uri: String::new(),
            args: None,
            connections: 1,
            load: Load::Closed { inflight: 1 },
            limit: RunLimit::Duration(Duration::ZERO),
            warmup: Duration::ZERO,
            timeout: Duration::from_secs(1),
            wait: Wait::Awake,
            serializer: Serializer::Json,
        };
        let reactor = Reactor::new().expect("a reactor");
        let address = ([127, 0, 0, 1], 1).into();
        let mailbox = reactor.mailbox();
        let workload = new_workload(0, &options);
        let shared = Arc::new(SharedRun::new(options, address, mailbox, new_workload));
        // What the reactor does then.
        let mut connection = ClientConnection {
            number: 0,
            shared: shared.clone(),
            opened: Instant::now(),
            client: ClientOutputs::default().client(&shared.options),
            session: ClientSession::new(workload),
        };
        connection.on_lost();
        let failure = shared.state().take_failure().expect_err("a failure");
        assert!(
            failure.to_string().contains("max_user_watches"),
            "{failure}"
        );
    }
}
