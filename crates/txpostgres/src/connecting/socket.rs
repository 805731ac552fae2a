//! Owns how a socket to a server is opened without blocking, with the options that keep it from
//! hanging. Must not know what is said over it.

use std::{io, time::Duration};

use mio::net::{TcpStream, UnixStream};
use reactor::Stream;
use socket2::{SockRef, TcpKeepalive};
use sql::ConnectionSettings;

use super::{Place, Servers};

impl Servers {
    /// A socket that is being connected to a place.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(crate) fn open(&self, place: &Place) -> Result<Stream, String> {
        let opened = match place {
            Place::Tcp(address) => TcpStream::connect(*address).and_then(|socket| {
                set_options(&socket, &self.settings)?;
                Ok(Stream::from(socket))
            }),
            Place::Unix(path) => UnixStream::connect(path).map(Stream::from),
        };
        opened.map_err(|error| describe(&error))
    }
}

/// Limits how long the other end may be silent.
fn set_options(socket: &TcpStream, settings: &ConnectionSettings) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if let Some(timeout) = settings.tcp_user_timeout {
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    let Some(keepalives) = settings.keepalives else {
        return Ok(());
    };
    let is_set = |time: &Duration| !time.is_zero();
    let mut options = TcpKeepalive::new();
    if is_set(&keepalives.idle) {
        options = options.with_time(keepalives.idle);
    }
    if is_set(&keepalives.interval) {
        options = options.with_interval(keepalives.interval);
    }
    if keepalives.count > 0 {
        options = options.with_retries(keepalives.count);
    }
    socket.set_tcp_keepalive(&options)
}

fn describe(error: &io::Error) -> String {
    if matches!(error.raw_os_error(), Some(23 | 24)) {
        return "the process has no file descriptor left for a connection: raise its limit \
                (`ulimit -n`, LimitNOFILE of a systemd unit)"
            .to_owned();
    }
    format!("error connecting to server: {error}")
}
