//! WebSocket framing over byte slices: feeds tungstenite what was read and takes what it
//! writes. Knows frames and close codes; must not know sockets nor WAMP.

use std::{
    fmt,
    io::{self, Read, Write},
};

use tungstenite::{
    Error, Message, Utf8Bytes,
    error::CapacityError,
    protocol::{
        CloseFrame, Role, WebSocketConfig, WebSocketContext,
        frame::{
            FrameHeader,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

use super::frame_lengths::{FrameLengths, NOT_MINIMAL};

/// tungstenite reads into a buffer of this size, of which every connection has one, and fills it
/// with zeros before each read. Few calls are larger; larger messages come in pieces. It is a quarter
/// of what an idle session takes.
const READ_BUFFER: usize = 768;

/// The largest frame or message accepted, and the largest output one call may make, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// Bytes of a whole message.
    pub max_message_size: usize,
    /// Bytes of one frame of it.
    pub max_frame_size: usize,
}

/// One end of a WebSocket connection.
pub struct Frames {
    context: WebSocketContext,
    role: Role,
    limits: FrameLimits,
    lengths: FrameLengths,
    /// Boxed, because there is none for as long as the connection lives.
    complaint: Option<Box<Complaint>>,
}

/// A Close frame of the other end that says more than goodbye.
#[derive(Clone, Debug)]
pub(crate) struct Complaint {
    pub code: u16,
    pub reason: String,
}

/// What the bytes of the other end amount to.
#[derive(Debug)]
pub enum Incoming {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary,
    /// A ping, already answered, or a pong.
    Heartbeat,
    /// The closing handshake is complete or was begun by the other end, and is answered.
    Closed,
    /// The other end broke the WebSocket protocol; a close frame has been written.
    Failed(String),
    /// A message or a frame is too large; a close frame has been written.
    TooLarge(TooLarge),
}

/// Which limit a message breaks. Displayed, it completes "it sent".
#[derive(Clone, Copy, Debug)]
pub struct TooLarge {
    /// The option that sets the limit.
    pub option: &'static str,
    /// The limit, in bytes.
    pub limit: usize,
    /// How large the message or frame is, as far as it was announced or has come.
    pub size: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { option, limit, .. } = self;
        write!(f, "a message larger than {option}, which is {limit} bytes")
    }
}

impl Frames {
    /// The frames of a connection that has shaken hands.
    pub fn new(role: Role, limits: FrameLimits) -> Self {
        Self {
            context: context(role, limits),
            role,
            limits,
            lengths: FrameLengths::default(),
            complaint: None,
        }
    }

    /// Takes the next message out of `input`, or all of an incomplete one and then `None`.
    pub fn next(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Option<Incoming> {
        let lengths = Some(&mut self.lengths);
        let read = (self.context).read(&mut Slices {
            input,
            out,
            lengths,
        });
        Some(match read {
            Ok(Message::Text(text)) => Incoming::Text(text),
            Ok(Message::Binary(_)) => Incoming::Binary,
            Ok(Message::Ping(_) | Message::Pong(_)) => Incoming::Heartbeat,
            Ok(Message::Close(frame)) => {
                // RFC 6455 7.4.1: these two are no complaint.
                self.complaint = frame
                    .filter(|frame| !matches!(frame.code, CloseCode::Normal | CloseCode::Away))
                    .map(|frame| {
                        Box::new(Complaint {
                            code: frame.code.into(),
                            reason: frame.reason.to_string(),
                        })
                    });
                self.flush(out);
                Incoming::Closed
            }
            Ok(Message::Frame(_)) => return None,
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                self.give_memory_back();
                return None;
            }
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => Incoming::Closed,
            Err(Error::Capacity(CapacityError::MessageTooLong { size, max_size })) => {
                let is_message = max_size == self.limits.max_message_size;
                let too_large = TooLarge {
                    option: if is_message {
                        "max_message_size"
                    } else {
                        "max_frame_size"
                    },
                    limit: max_size,
                    size,
                };
                self.close(CloseCode::Size, &too_large.to_string(), out);
                Incoming::TooLarge(too_large)
            }
            Err(error) => {
                // RFC 6455 7.4.1.
                let code = match &error {
                    Error::Utf8(_) => CloseCode::Invalid,
                    _ => CloseCode::Protocol,
                };
                let reason = match error {
                    Error::Io(own) => own.to_string(),
                    error => error.to_string(),
                };
                self.close(code, &reason, out);
                Incoming::Failed(reason)
            }
        })
    }

    /// The context keeps the buffer of its largest frame for as long as it lives, which would be
    /// megabytes for a session that does nothing. A new one begins small. All input has been read
    /// here, so the old one holds none of it, and what it had to answer of itself it has written
    /// before it read.
    fn give_memory_back(&mut self) {
        if self.lengths.take_large_done() && self.context.can_write() {
            self.context = context(self.role, self.limits);
        }
    }

    /// Whether a message or frame has begun whose end has not come.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.lengths.is_unfinished()
    }

    /// How many bytes of an unfinished message are here, about.
    pub(crate) fn unfinished(&self) -> usize {
        self.lengths.unfinished()
    }

    /// What the other end had to complain of when it closed.
    pub(crate) fn take_complaint(&mut self) -> Option<Complaint> {
        self.complaint.take().map(|complaint| *complaint)
    }

    /// Writes a text message, which must be UTF-8. After a close frame nobody wants it.
    ///
    /// The context would copy it twice more, and check again what the serializer knows.
    pub fn send_text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if !self.context.can_write() {
            return;
        }
        // RFC 6455 5.1: a client masks, a server must not.
        let mask = (self.role == Role::Client).then(rand::random);
        write_header(text.len(), mask, out);
        match mask {
            None => out.extend_from_slice(text),
            Some(mask) => out.extend(text.iter().zip(mask.iter().cycle()).map(|(t, m)| t ^ m)),
        }
    }

    /// Writes what comes before a text of this length in a message of a server, which sends it as
    /// it is. `false` after a close frame, when nobody wants it.
    pub(crate) fn begin_text(&mut self, len: usize, out: &mut Vec<u8>) -> bool {
        debug_assert_eq!(self.role, Role::Server, "a client masks its text");
        let is_wanted = self.context.can_write();
        if is_wanted {
            write_header(len, None, out);
        }
        is_wanted
    }

    /// Writes a ping.
    pub fn send_ping(&mut self, payload: Vec<u8>, out: &mut Vec<u8>) {
        let mut slices = Slices {
            input: &mut &[][..],
            out,
            lengths: None,
        };
        // It fails only after a close frame, as above.
        let _ = self
            .context
            .write(&mut slices, Message::Ping(payload.into()));
        self.flush(out);
    }

    /// Begins the closing handshake, unless it has begun.
    pub fn close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
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
                lengths: None,
            },
            Some(frame),
        );
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        let _ = self.context.flush(&mut Slices {
            input: &mut &[][..],
            out,
            lengths: None,
        });
    }
}

/// Writes the header of a text message in one frame.
fn write_header(len: usize, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let header = FrameHeader {
        opcode: OpCode::Data(Data::Text),
        mask,
        ..FrameHeader::default()
    };
    header
        .format(len as u64, out)
        .expect("writing to memory does not fail");
}

fn context(role: Role, limits: FrameLimits) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // Whatever is written goes to the connection's output at once: gathering it is
        // the reactor's work, limiting it the outbox's.
        .write_buffer_size(0)
        .max_write_buffer_size(usize::MAX)
        .max_message_size(Some(limits.max_message_size))
        .max_frame_size(Some(limits.max_frame_size));
    WebSocketContext::new(role, Some(config))
}

/// The stream tungstenite sees: input that ends where the read ended, output that takes all.
struct Slices<'a, 'b> {
    input: &'a mut &'b [u8],
    out: &'a mut Vec<u8>,
    /// Looks at what is read, which tungstenite does not hold against RFC 6455 5.2.
    lengths: Option<&'a mut FrameLengths>,
}

impl Read for Slices<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = buffer.len().min(self.input.len());
        let lengths = self.lengths.as_deref_mut();
        let good = lengths.map_or(most, |lengths| lengths.accept(&self.input[..most]));
        if good == 0 {
            return Err(io::Error::other(NOT_MINIMAL));
        }
        // What came before is read first; the rest is asked for again.
        let (read, rest) = self.input.split_at(good);
        buffer[..good].copy_from_slice(read);
        *self.input = rest;
        Ok(good)
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits = FrameLimits {
        max_message_size: 1000,
        max_frame_size: 500,
    };

    /// A frame as a client sends it, masked with zeros.
    fn frame(fin_and_opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![fin_and_opcode];
        match u8::try_from(payload.len()) {
            Ok(len) if len < 126 => frame.push(0x80 | len),
            _ => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        frame
    }

    fn server() -> Frames {
        Frames::new(Role::Server, LIMITS)
    }

    /// Everything that comes of `bytes`, fed `step` at a time, until the connection ends.
    fn fed(frames: &mut Frames, bytes: &[u8], step: usize) -> (Vec<Incoming>, Vec<u8>) {
        let (mut all, mut out) = (Vec::new(), Vec::new());
        for mut read in bytes.chunks(step) {
            while let Some(incoming) = frames.next(&mut read, &mut out) {
                let is_last = !matches!(
                    incoming,
                    Incoming::Text(_) | Incoming::Binary | Incoming::Heartbeat
                );
                all.push(incoming);
                if is_last {
                    return (all, out);
                }
            }
            assert!(read.is_empty(), "all of an incomplete message is taken");
        }
        (all, out)
    }

    fn close_code(out: &[u8]) -> u16 {
        assert_eq!(out[0], 0x88, "a close frame");
        u16::from_be_bytes([out[2], out[3]])
    }

    #[test]
    fn messages_are_put_together_whatever_the_reads_are() {
        let bytes = [
            frame(0x81, b"one"),
            frame(0x01, b"t"),
            frame(0x89, b"ping"),
            frame(0x80, b"wo"),
            frame(0x81, "x".repeat(400).as_bytes()),
        ]
        .concat();
        for step in [1, 3, 7, bytes.len()] {
            let (all, out) = fed(&mut server(), &bytes, step);
            let texts: Vec<_> = all
                .iter()
                .filter_map(|incoming| match incoming {
                    Incoming::Text(text) => Some(text.len()),
                    Incoming::Heartbeat => None,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(texts, [3, 3, 400]);
            assert_eq!(out, b"\x8a\x04ping", "the ping is answered");
        }
    }

    #[test]
    fn each_fault_has_its_close_code() {
        let unmasked = b"\x81\x01x".to_vec();
        let not_minimal = b"\x81\xfe\0\x01\0\0\0\0x".to_vec();
        let fragments = [frame(0x01, &[b'x'; 500]), frame(0x80, &[b'x'; 501])].concat();
        for (bytes, code) in [
            (unmasked, 1002),
            (frame(0x83, b"x"), 1002),
            (frame(0x80, b"x"), 1002),
            (frame(0x81, b"\xff"), 1007),
            (not_minimal, 1002),
            (frame(0x81, &[b'x'; 501]), 1009),
            (fragments, 1009),
        ] {
            let (all, out) = fed(&mut server(), &bytes, bytes.len());
            match (&all[..], code) {
                ([Incoming::TooLarge(_)], 1009) | ([Incoming::Failed(_)], _) => {}
                _ => panic!("{code}: {all:?}"),
            }
            assert_eq!(close_code(&out), code);
        }
    }

    #[test]
    fn the_closing_handshake_ends_once_whoever_begins() {
        let going_away = frame(0x88, &1001_u16.to_be_bytes());
        let mut frames = server();
        let (all, mut out) = fed(&mut frames, &going_away, 100);
        assert!(matches!(all[..], [Incoming::Closed]));
        assert_eq!(close_code(&out), 1001, "echoed (RFC 6455 5.5.1)");
        out.clear();
        frames.send_text(b"too late", &mut out);
        frames.close(CloseCode::Normal, "", &mut out);
        assert_eq!(out, b"");

        let mut frames = server();
        frames.close(CloseCode::Normal, &"ä".repeat(100), &mut out);
        assert_eq!(close_code(&out), 1000);
        assert_eq!(out.len(), 2 + 2 + 122, "cut between characters");
        out.clear();
        frames.send_text(b"too late", &mut out);
        let crossing = [frame(0x81, b"crossed"), going_away].concat();
        let (all, answer) = fed(&mut frames, &crossing, 100);
        assert!(matches!(all[..], [Incoming::Text(_), Incoming::Closed]));
        assert_eq!((out, answer), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_client_masks_what_a_server_reads() {
        let mut client = Frames::new(Role::Client, LIMITS);
        let mut sent = Vec::new();
        client.send_text(b"hello", &mut sent);
        assert_eq!(sent[1] & 0x80, 0x80);
        let (all, _) = fed(&mut server(), &sent, sent.len());
        assert!(matches!(&all[..], [Incoming::Text(text)] if text.as_str() == "hello"));
    }
}
