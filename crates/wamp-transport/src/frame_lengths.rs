//! The lengths that frames announce: that each is written as short as it can be, and that there is
//! room for a long one before it begins. Knows the head of a frame, not what is in it.

/// What is wrong with a length that is not.
pub(super) const NOT_MINIMAL: &str =
    "the length of a frame is not written in as few bytes as it could be";

/// A frame of more bytes than this is large: its buffer is not one to keep.
const LARGE: u64 = 64 * 1024;

/// Why the next byte is not to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// It ends a length that a shorter one could have said, or one with its top bit set.
    NotMinimal,
    /// It ends the head of a large frame, for which there is no room. It may be read later.
    NoRoom,
}

/// Follows the frames of one direction of a connection, byte by byte.
#[derive(Default)]
pub(super) struct FrameLengths {
    /// The head that is coming in, without its mask.
    head: [u8; 10],
    /// How many bytes of the head have come, its mask among them.
    seen: u8,
    /// How many bytes of the payload are still to come.
    payload: u64,
    /// How many bytes of the payloads of the latest message have come.
    message: u64,
    /// A large frame has come since this was last asked for.
    has_been_large: bool,
    /// A message has begun whose last frame has not (RFC 6455 5.4).
    is_message_open: bool,
}

impl FrameLengths {
    /// Looks at the next bytes. How many of them are in order, or what is wrong with the first. A
    /// large frame begins only if it `fits`, which is given its length.
    ///
    /// Source: RFC 6455 5.2, "Payload length": the minimal number of bytes MUST be used, and the
    /// most significant bit of 64 MUST be 0.
    pub(super) fn accept(
        &mut self,
        bytes: &[u8],
        fits: &dyn Fn(u64) -> bool,
    ) -> Result<usize, Stop> {
        let mut at = 0;
        while at < bytes.len() {
            if self.payload > 0 {
                let left = bytes.len() - at;
                let skipped = usize::try_from(self.payload).map_or(left, |n| n.min(left));
                at += skipped;
                self.payload -= skipped as u64;
                self.message += skipped as u64;
                continue;
            }
            if let Some(place) = self.head.get_mut(usize::from(self.seen)) {
                *place = bytes[at];
            }
            let seen = self.seen + 1;
            if seen >= 2 {
                let extended = self.extended() as u8;
                if seen == 2 + extended && !self.is_minimal() {
                    return in_order(at, Stop::NotMinimal);
                }
                let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
                if seen == 2 + extended + mask {
                    if self.length() > LARGE && !fits(self.length()) {
                        return in_order(at, Stop::NoRoom);
                    }
                    self.begin_payload();
                    at += 1;
                    continue;
                }
            }
            self.seen = seen;
            at += 1;
        }
        Ok(at)
    }

    fn begin_payload(&mut self) {
        self.payload = self.length();
        self.seen = 0;
        if self.payload > LARGE {
            self.has_been_large = true;
        }
        let is_control = self.head[0] & 0x08 != 0;
        if !is_control {
            if !self.is_message_open {
                self.message = 0;
            }
            let is_last = self.head[0] & 0x80 != 0;
            self.is_message_open = !is_last;
        }
    }

    /// How many bytes an unfinished message takes: what has come of it, and the rest of its frame,
    /// for which there is room as soon as its head has come.
    pub(super) fn held(&self) -> usize {
        let rest = usize::try_from(self.payload).unwrap_or(usize::MAX);
        self.unfinished().saturating_add(rest)
    }

    /// Whether a large frame has come, and all that has come is whole messages. Says so once.
    pub(super) fn take_large_done(&mut self) -> bool {
        let is_done = self.has_been_large && !self.is_unfinished();
        self.has_been_large &= !is_done;
        is_done
    }

    /// Whether the last that has come is a part of a message or frame whose end has not.
    pub(super) fn is_unfinished(&self) -> bool {
        self.payload > 0 || self.seen > 0 || self.is_message_open
    }

    /// How many bytes of an unfinished message have come, about.
    pub(super) fn unfinished(&self) -> usize {
        let is_control = self.head[0] & 0x08 != 0;
        if self.is_message_open || self.payload > 0 && !is_control {
            usize::try_from(self.message).unwrap_or(usize::MAX)
        } else {
            0
        }
    }

    /// How many bytes the length takes beside the first.
    fn extended(&self) -> usize {
        match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    /// How long the frame is whose head has come, or all of it but its last byte.
    pub(super) fn length(&self) -> u64 {
        match self.extended() {
            0 => u64::from(self.head[1] & 0x7f),
            n => {
                (self.head[2..2 + n].iter()).fold(0, |length, byte| length << 8 | u64::from(*byte))
            }
        }
    }

    fn is_minimal(&self) -> bool {
        match (self.extended(), self.length()) {
            (0, _) => true,
            (2, length) => length > 125,
            (_, length) => length > 0xffff && length >> 63 == 0,
        }
    }
}

/// So many bytes are in order, after which there is a reason to stop.
fn in_order(bytes: usize, stop: Stop) -> Result<usize, Stop> {
    if bytes > 0 { Ok(bytes) } else { Err(stop) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(second: u8, length: &[u8], mask: bool) -> Vec<u8> {
        let mask_bit = if mask { 0x80 } else { 0 };
        let mut head = vec![0x81, second | mask_bit];
        head.extend_from_slice(length);
        head.extend_from_slice(if mask { &[1, 2, 3, 4] } else { &[] });
        head
    }

    #[test]
    fn each_length_has_one_way_to_be_written() {
        for (second, length, is_good) in [
            (0, &[][..], true),
            (125, &[], true),
            (126, &[0, 125], false),
            (126, &[0, 126], true),
            (126, &[0xff, 0xff], true),
            (127, &[0, 0, 0, 0, 0, 0, 0xff, 0xff], false),
            (127, &[0, 0, 0, 0, 0, 1, 0, 0], true),
            (127, &[0x7f, 0, 0, 0, 0, 0, 0, 0], true),
            (127, &[0x80, 0, 0, 0, 0, 0, 0, 0], false),
        ] {
            for mask in [true, false] {
                // After a frame that is in order, in pieces of any size.
                let first = [head(3, &[], mask), b"abc".to_vec()].concat();
                let bytes = [first.clone(), head(second, length, mask)].concat();
                let good = if is_good {
                    bytes.len()
                } else {
                    first.len() + 1 + length.len()
                };
                for step in 1..=bytes.len() {
                    let mut lengths = FrameLengths::default();
                    let mut accepted = 0;
                    for piece in bytes.chunks(step) {
                        let n = lengths.accept(piece, &|_| true).unwrap_or(0);
                        accepted += n;
                        if n < piece.len() {
                            let rest = lengths.accept(&piece[n..], &|_| true);
                            assert_eq!(rest, Err(Stop::NotMinimal));
                            break;
                        }
                    }
                    assert_eq!(accepted, good, "{second} {length:?} by {step}");
                }
            }
        }
    }

    #[test]
    fn a_large_frame_begins_when_there_is_room_and_what_comes_before_it_is_taken() {
        let first = [head(3, &[], true), b"abc".to_vec()].concat();
        let large = head(127, &70_000_u64.to_be_bytes(), true);
        let bytes = [first, large].concat();
        for step in 1..=bytes.len() {
            let mut lengths = FrameLengths::default();
            let (mut accepted, mut stopped) = (0, None);
            for piece in bytes.chunks(step) {
                let mut taken = 0;
                while taken < piece.len() && stopped.is_none() {
                    match lengths.accept(&piece[taken..], &|_| false) {
                        Ok(n) => taken += n,
                        Err(stop) => stopped = Some(stop),
                    }
                }
                accepted += taken;
            }
            assert_eq!((accepted, stopped), (bytes.len() - 1, Some(Stop::NoRoom)));
            assert_eq!((lengths.length(), lengths.held()), (70_000, 0), "by {step}");
            assert_eq!(lengths.accept(&bytes[accepted..], &|_| true), Ok(1));
            assert_eq!(lengths.held(), 70_000);
        }
    }
}
