//! WebSocket framing over byte slices: feeds tungstenite what was read and takes what it
//! writes. Knows frames and close codes; must not know sockets nor WAMP.

use std::io::{self, Read, Write};

use tungstenite::{
    Error, Message, Utf8Bytes,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

/// tungstenite reads into a buffer of this size, of which every connection has one.
const READ_BUFFER: usize = 4 * 1024;

/// The largest frame or message accepted, and the largest output one call may make, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameLimits {
    pub(super) max_message_size: usize,
    pub(super) max_frame_size: usize,
}

/// One end of a WebSocket connection.
pub(super) struct Frames {
    context: WebSocketContext,
}

/// What the bytes of the other end amount to.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary,
    /// A ping, already answered, or a pong.
    Heartbeat,
    /// The closing handshake is complete or was begun by the other end, and is answered.
    Closed,
    /// The other end broke the WebSocket protocol or a limit; a close frame has been written.
    Failed(String),
}

impl Frames {
    pub(super) fn new(role: Role, limits: FrameLimits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            // Whatever is written goes to the connection's output at once: gathering it is
            // the reactor's work, limiting it the outbox's.
            .write_buffer_size(0)
            .max_write_buffer_size(usize::MAX)
            .max_message_size(Some(limits.max_message_size))
            .max_frame_size(Some(limits.max_frame_size));
        Self {
            context: WebSocketContext::new(role, Some(config)),
        }
    }

    /// Takes the next message out of `input`, or all of an incomplete one and then `None`.
    pub(super) fn next(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Option<Incoming> {
        let read = self.context.read(&mut Slices { input, out });
        Some(match read {
            Ok(Message::Text(text)) => Incoming::Text(text),
            Ok(Message::Binary(_)) => Incoming::Binary,
            Ok(Message::Ping(_) | Message::Pong(_)) => Incoming::Heartbeat,
            Ok(Message::Close(_)) => {
                self.flush(out);
                Incoming::Closed
            }
            Ok(Message::Frame(_)) => return None,
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return None,
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => Incoming::Closed,
            Err(error) => {
                // RFC 6455 7.4.1.
                let code = match &error {
                    Error::Capacity(_) => CloseCode::Size,
                    Error::Utf8(_) => CloseCode::Invalid,
                    _ => CloseCode::Protocol,
                };
                let reason = error.to_string();
                self.close(code, &reason, out);
                Incoming::Failed(reason)
            }
        })
    }

    /// Writes a text message.
    pub(super) fn send_text(&mut self, text: Utf8Bytes, out: &mut Vec<u8>) {
        self.send(Message::Text(text), out);
    }

    /// Writes a ping.
    pub(super) fn send_ping(&mut self, payload: Vec<u8>, out: &mut Vec<u8>) {
        self.send(Message::Ping(payload.into()), out);
    }

    fn send(&mut self, message: Message, out: &mut Vec<u8>) {
        // It fails only after a close frame, and after that nobody wants the message.
        let _ = self.context.write(
            &mut Slices {
                input: &mut &[][..],
                out,
            },
            message,
        );
        self.flush(out);
    }

    /// Begins the closing handshake, unless it has begun.
    pub(super) fn close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        // RFC 6455 5.5: the whole payload of a control frame is at most 125 bytes, 2 of them
        // the code.
        let end = reason.floor_char_boundary(123);
        let frame = CloseFrame {
            code,
            reason: reason[..end].into(),
        };
        let _ = self.context.close(
            &mut Slices {
                input: &mut &[][..],
                out,
            },
            Some(frame),
        );
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        let _ = self.context.flush(&mut Slices {
            input: &mut &[][..],
            out,
        });
    }
}

/// The stream tungstenite sees: input that ends where the read ended, output that takes all.
struct Slices<'a, 'b> {
    input: &'a mut &'b [u8],
    out: &'a mut Vec<u8>,
}

impl Read for Slices<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Slices<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
