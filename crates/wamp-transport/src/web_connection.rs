//! A connection of a web transport: HTTP until a WebSocket is opened, the session from then on.
//! Knows which path has which service; must not know what a session says nor how files are read.

mod listing;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderValue, StatusCode, header};
use tungstenite::handshake::derive_accept_key;

use super::{
    WebSocketOptions,
    connection_limits::Place,
    outbox::Mail,
    session::{ConnectionContext, IoThread, Session},
};
use listing::Pending;
use reactor::{Io, Protocol};
use wamp::Serializer;
use web::{
    Body, Listing, Paths, Rejection, RequestHead, Response, StaticDirectory, WebSocketRequest,
    WebStatus, parse_head,
};

/// How long a connection may wait for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take nothing of a response before it is given up.
const STALLED: Duration = Duration::from_secs(60);
/// A file is read in pieces of this size, each when the one before has left.
const CHUNK: usize = 64 * 1024;

/// What one listener serves.
pub struct WebService {
    /// The services by their path.
    pub paths: Paths<PathService>,
    /// How long the head of a request may take to arrive.
    pub head_timeout: Duration,
    unfit_handshake: AtomicBool,
}

impl WebService {
    /// Services by their path, and how long the head of a request for them may take to arrive.
    pub fn new(paths: Paths<PathService>, head_timeout: Duration) -> Self {
        Self {
            paths,
            head_timeout,
            unfit_handshake: AtomicBool::new(false),
        }
    }

    /// Warns of the first handshake that a proxy seems to have spoilt; it spoils all of them.
    fn tell_unfit_handshake(&self, rejection: Rejection, context: &ConnectionContext) {
        if !self.unfit_handshake.swap(true, Ordering::Relaxed) {
            tracing::warn!(
            target: crate::LOG,
                           client = %context.remote, %rejection,
                           "refusing a WebSocket; further ones are logged at debug level"
                       );
        }
    }
}

/// What stands at a path.
pub enum PathService {
    /// Files.
    Static(Box<StaticDirectory>),
    /// WAMP sessions.
    WebSocket(Arc<WebSocketOptions>),
}

/// A connection accepted by a web transport.
pub(super) struct WebConnection {
    context: ConnectionContext,
    service: Arc<WebService>,
    state: State,
    place: Place,
    /// It may be closed to make room for others: it has no session, and no answer is being sent.
    may_be_closed: bool,
    /// The node stops: what is asked for is answered once more, and no WebSocket is opened.
    is_stopping: bool,
}

enum State {
    /// Boxed, because most connections are sessions soon, and all have the size of the larger.
    Http(Box<Exchange>),
    WebSocket(Box<Session>),
    /// It is lost; the socket may be open for a moment yet.
    Lost,
}

/// Where an HTTP connection stands.
struct Exchange {
    /// Bytes received and not yet understood.
    received: Vec<u8>,
    /// How many of the bytes to come belong to a request body that nobody wants.
    to_skip: usize,
    /// The rest of the response being sent.
    body: Option<Body>,
    /// The listing that is being made for the request.
    listing: Option<Pending>,
    /// Whether the connection ends with the response being sent.
    last: bool,
    /// By when the head of the next request must be there, and whether the client has begun to
    /// send one, or owes its first.
    head_by: Instant,
    head_is_owed: bool,
}

/// What a request head leads to.
enum Answer {
    Respond(Response),
    List(Box<Listing>),
    Upgrade {
        head: Vec<u8>,
        options: Arc<WebSocketOptions>,
        serializer: Serializer,
    },
}

impl WebConnection {
    pub(super) fn new(context: ConnectionContext, service: Arc<WebService>, place: Place) -> Self {
        let exchange = Exchange {
            received: Vec::new(),
            to_skip: 0,
            body: None,
            listing: None,
            last: false,
            head_by: Instant::now() + service.head_timeout,
            head_is_owed: true,
        };
        Self {
            context,
            service,
            state: State::Http(Box::new(exchange)),
            place,
            may_be_closed: false,
            is_stopping: false,
        }
    }

    /// Answers the requests that are there, one after the other, as far as output goes.
    fn serve(&mut self, io: &mut Io<'_>) {
        loop {
            let State::Http(exchange) = &mut self.state else {
                return;
            };
            let goes_on = exchange.advance_listing(self.is_stopping, io)
                && exchange.send_body(io)
                && exchange.skip_body();
            if !goes_on {
                break;
            }
            match parse_head(&exchange.received) {
                Ok(None) => break,
                Ok(Some((head, length))) => {
                    exchange.received.drain(..length);
                    exchange.head_is_owed = false;
                    self.answer(&head, io);
                }
                Err(rejection) => {
                    tracing::debug!(target: crate::LOG, client = %self.context.remote, %rejection, "refusing an HTTP request");
                    exchange.respond(rejection.response(), false, false, io);
                }
            }
        }
        if let State::Http(exchange) = &mut self.state {
            exchange.set_deadline(self.service.head_timeout, io);
            let is_answering = exchange.body.is_some() || exchange.listing.is_some();
            self.set_may_be_closed(!is_answering, io);
        }
    }

    /// Says whether it may be closed to make room for others.
    fn set_may_be_closed(&mut self, may_be_closed: bool, io: &Io<'_>) {
        if self.may_be_closed == may_be_closed {
            return;
        }
        self.may_be_closed = may_be_closed;
        let IoThread {
            connections,
            number,
            ..
        } = &*self.context.io_thread;
        let address = self.context.remote.ip();
        if may_be_closed {
            connections.may_close(self.place, address, (*number, io.id));
        } else {
            connections.must_stay(self.place, address);
        }
    }

    /// A session that has joined is not closed for others.
    fn note_joined(&mut self, io: &Io<'_>) {
        if self.may_be_closed
            && let State::WebSocket(session) = &self.state
            && session.has_joined()
        {
            self.set_may_be_closed(false, io);
        }
    }

    /// Another connection has its place.
    fn make_room(&self, io: &mut Io<'_>) {
        tracing::debug!(
            target: crate::LOG,
            client = %self.context.remote,
            "closing a connection without a session to make room for another"
        );
        io.abort();
    }

    fn answer(&mut self, head: &RequestHead, io: &mut Io<'_>) {
        let answer = self.choose(head);
        let State::Http(exchange) = &mut self.state else {
            return;
        };
        match answer {
            Answer::Respond(response) => {
                tracing::debug!(
                target: crate::LOG,
                                   client = %self.context.remote, method = %head.method, path = head.path,
                                   status = response.status().as_u16(), "HTTP request"
                               );
                exchange.to_skip = head.body_to_skip().unwrap_or(0);
                let keep_alive = head.keep_alive && !self.is_stopping;
                exchange.respond(response, head.is_head(), keep_alive, io);
            }
            Answer::List(listing) => {
                exchange.to_skip = head.body_to_skip().unwrap_or(0);
                let pending = Pending::new(listing, head.is_head(), head.keep_alive);
                exchange.listing = Some(pending);
            }
            Answer::Upgrade {
                head,
                options,
                serializer,
            } => {
                io.out().extend_from_slice(&head);
                // A client may send frames before it has seen our answer.
                let early = std::mem::take(&mut exchange.received);
                io.pause_reading(false);
                let session = Session::new(self.context.clone(), options, serializer, io);
                self.state = State::WebSocket(Box::new(session));
                self.set_may_be_closed(true, io);
                self.on_bytes(&early, io);
            }
        }
    }

    fn choose(&self, head: &RequestHead) -> Answer {
        Answer::Respond(match self.service.paths.find(&head.path) {
            None if head.path == "*" => server_options(),
            None => Response::error(StatusCode::NOT_FOUND, "Nothing is served at this path."),
            Some((PathService::Static(directory), rest)) => {
                let answer = directory.respond(head, rest);
                for link in directory.take_links_out() {
                    tracing::warn!(
                    target: crate::LOG,
                                           link = %link.display(),
                                           "a symbolic link leads out of the directory that is served: it is not found (404)"
                                       );
                }
                match answer {
                    web::Answer::Now(response) => response,
                    web::Answer::Later(listing) => return Answer::List(listing),
                }
            }
            Some((PathService::WebSocket(options), _)) => match WebSocketRequest::from_head(head) {
                Ok(Some(_)) if self.is_stopping => Response::error(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The node is stopping: connect again later.",
                ),
                Ok(Some(request)) => match accept(&request, options) {
                    Ok(upgrade) => return upgrade,
                    Err(rejection) => rejection.response(),
                },
                Ok(None) => web_status(options).respond(head),
                Err(rejection) => {
                    if let Rejection::UnfitHandshake(_) = rejection {
                        self.service.tell_unfit_handshake(rejection, &self.context);
                    }
                    tracing::debug!(target: crate::LOG, client = %self.context.remote, %rejection, "refusing a WebSocket");
                    rejection.response()
                }
            },
        })
    }
}

/// The answer to `OPTIONS *` (RFC 9110 9.3.7): the methods that there are on this server.
fn server_options() -> Response {
    Response::new(StatusCode::NO_CONTENT, Body::empty()).with_header(
        header::ALLOW,
        HeaderValue::from_static("GET, HEAD, OPTIONS"),
    )
}

/// Accepts an opening handshake, if its origin and its subprotocols allow.
fn accept(
    request: &WebSocketRequest,
    options: &Arc<WebSocketOptions>,
) -> Result<Answer, Rejection> {
    request.check_origin(&options.allowed_origins)?;
    let offered = request.protocols.iter().map(String::as_str);
    let serializer = Serializer::from_subprotocols(offered);
    let may_do_without = !options.require_websocket_subprotocol && request.protocols.is_empty();
    if serializer.is_none() && !may_do_without {
        return Err(Rejection::Malformed(
            "None of the WebSocket subprotocols offered is served; wamp.2.json is.",
        ));
    }
    let head = request.accept_response(
        &derive_accept_key(request.key.as_bytes()),
        serializer.map(Serializer::subprotocol),
    );
    let serializer = serializer.unwrap_or_default();
    Ok(Answer::Upgrade {
        head,
        options: options.clone(),
        serializer,
    })
}

const SUBPROTOCOLS: &[&str] = &[Serializer::Json.subprotocol()];

fn web_status(options: &WebSocketOptions) -> WebStatus<'static> {
    WebStatus {
        enable_webstatus: options.enable_webstatus,
        version: env!("CARGO_PKG_VERSION"),
        subprotocols: SUBPROTOCOLS,
        secure: false,
    }
}

impl Exchange {
    fn respond(&mut self, response: Response, head_only: bool, keep_alive: bool, io: &mut Io<'_>) {
        self.last = !keep_alive;
        let body = response.write_head(io.out(), head_only, keep_alive, SystemTime::now());
        self.body = Some(body);
    }

    /// Goes on with the listing that is being made; `true` when there is none any more.
    fn advance_listing(&mut self, is_stopping: bool, io: &mut Io<'_>) -> bool {
        let Some(pending) = &mut self.listing else {
            return true;
        };
        let Some(response) = pending.advance() else {
            return false;
        };
        let keep_alive = pending.keep_alive && !is_stopping;
        let head_only = pending.head_only;
        self.listing = None;
        self.respond(response, head_only, keep_alive, io);
        true
    }

    /// Sends on of the response; `true` when it is out and another request may be served.
    fn send_body(&mut self, io: &mut Io<'_>) -> bool {
        while let Some(body) = &mut self.body {
            if io.unsent() >= CHUNK {
                return false;
            }
            match body.fill(io.out(), CHUNK) {
                Ok(true) => {}
                Ok(false) => self.body = None,
                // The length announced cannot be met any more; only cutting the connection
                // tells the client so.
                Err(_) => {
                    io.abort();
                    return false;
                }
            }
        }
        if self.last {
            io.close();
            return false;
        }
        true
    }

    /// Whether nothing of a request is there and nothing of a response is left.
    fn is_idle(&self) -> bool {
        let answers = self.body.is_some() || self.listing.is_some();
        self.received.is_empty() && !answers && self.to_skip == 0
    }

    /// Skips of an unwanted request body what is there; `true` when nothing of it is left.
    fn skip_body(&mut self) -> bool {
        let skipped = self.to_skip.min(self.received.len());
        self.received.drain(..skipped);
        self.to_skip -= skipped;
        self.to_skip == 0
    }

    fn set_deadline(&mut self, head_timeout: Duration, io: &mut Io<'_>) {
        let is_sending = self.body.is_some() || io.unsent() > 0;
        io.pause_reading(is_sending || self.listing.is_some());
        if let Some(pending) = &self.listing {
            return io.set_deadline(Some(io.now + pending.pause));
        }
        if is_sending {
            return io.set_deadline(Some(io.now + STALLED));
        }
        let has_begun = !self.received.is_empty() || self.to_skip > 0;
        if has_begun && !self.head_is_owed {
            self.head_is_owed = true;
            self.head_by = io.now + head_timeout;
        }
        io.set_deadline(Some(if self.head_is_owed {
            self.head_by
        } else {
            io.now + KEEP_ALIVE
        }));
    }
}

impl Protocol<Mail> for WebConnection {
    fn on_open(&mut self, io: &mut Io<'_>) {
        if let State::Http(exchange) = &mut self.state {
            exchange.set_deadline(self.service.head_timeout, io);
        }
        self.set_may_be_closed(true, io);
    }

    fn on_bytes(&mut self, bytes: &[u8], io: &mut Io<'_>) {
        match &mut self.state {
            State::Http(exchange) => {
                exchange.received.extend_from_slice(bytes);
                self.serve(io);
            }
            State::WebSocket(session) => {
                session.on_bytes(bytes, io);
                self.note_joined(io);
            }
            State::Lost => {}
        }
    }

    fn on_again(&mut self, io: &mut Io<'_>) {
        if let State::WebSocket(session) = &mut self.state {
            session.on_again(io);
            self.note_joined(io);
        }
    }

    fn on_end(&mut self, io: &mut Io<'_>) {
        match &mut self.state {
            State::Http(_) => io.close(),
            State::WebSocket(session) => session.on_end(io),
            State::Lost => {}
        }
    }

    fn on_mail(&mut self, mail: Mail, io: &mut Io<'_>) {
        match &mut self.state {
            _ if self.may_be_closed && matches!(mail, Mail::MakeRoom) => self.make_room(io),
            State::WebSocket(session) => session.on_mail(mail, io),
            State::Http(_) | State::Lost => {}
        }
    }

    fn on_deadline(&mut self, io: &mut Io<'_>) {
        match &mut self.state {
            State::Http(exchange) if exchange.listing.is_some() => self.serve(io),
            State::Http(exchange) if exchange.body.is_some() || io.unsent() > 0 => io.abort(),
            State::Http(exchange) if exchange.head_is_owed => {
                exchange.respond(Rejection::HeadTimeout.response(), false, false, io);
                exchange.send_body(io);
            }
            State::Http(_) => io.close(),
            State::WebSocket(session) => session.on_deadline(io),
            State::Lost => {}
        }
    }

    fn on_flushed(&mut self, io: &mut Io<'_>) {
        match &mut self.state {
            State::Http(_) => self.serve(io),
            State::WebSocket(session) => session.on_flushed(io),
            State::Lost => {}
        }
    }

    fn on_shutdown(&mut self, io: &mut Io<'_>) {
        self.is_stopping = true;
        match &mut self.state {
            State::Http(exchange) if exchange.is_idle() && io.unsent() == 0 => io.close(),
            // A response under way is the last; a request that has begun to come gets one.
            State::Http(exchange) => exchange.last |= exchange.body.is_some() || io.unsent() > 0,
            State::WebSocket(session) => session.on_shutdown(io),
            State::Lost => {}
        }
    }

    fn on_error(&mut self, error: &io::Error) {
        if let State::WebSocket(session) = &self.state {
            session.on_error(error);
        }
    }

    fn on_lost(&mut self) {
        if let State::WebSocket(session) = &mut self.state {
            session.on_lost();
        }
        self.state = State::Lost;
        if self.may_be_closed {
            self.may_be_closed = false;
            let connections = &self.context.io_thread.connections;
            connections.must_stay(self.place, self.context.remote.ip());
        }
    }
}

/// Its place is free when its socket is closed.
impl Drop for WebConnection {
    fn drop(&mut self) {
        let connections = &self.context.io_thread.connections;
        connections.leave(self.place, self.context.remote.ip());
    }
}
