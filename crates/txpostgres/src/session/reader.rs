//! Owns how bytes from PostgreSQL become messages: in place where a message lies whole in what was
//! read, else gathered. Must not know what messages mean.
//!
//! A length is believed only as far as bytes come for it, and not beyond what a message of its kind
//! can have.

use super::report::{Fault, violation};

/// The most that PostgreSQL puts into a row: `MaxAllocSize` in its source.
const MOST_OF_ROW: usize = 1 << 30;
/// The most that a description of columns or parameters can have: 65,535 parameters, or 1,664
/// columns with the longest names.
const MOST_OF_DESCRIPTION: usize = 1 << 20;
/// The most of any other message; of a report this much is kept.
const MOST: usize = 64 << 10;
/// A buffer that has grown beyond this is given back once it is empty.
const MOST_KEPT: usize = 64 << 10;
const HEADER: usize = 5;

/// Gathers messages that come in pieces.
#[derive(Default)]
pub(super) struct Reader {
    /// The beginning of a message, with its header.
    partial: Vec<u8>,
    /// How many bytes of the last message are still to be thrown away.
    skip: usize,
}

/// What the header of a message says.
#[derive(Clone, Copy)]
struct Header {
    tag: u8,
    /// How many bytes of its body are kept, after the header.
    kept: usize,
    /// How many are thrown away after that.
    skipped: usize,
}

/// One message.
pub(super) struct Message<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
}

impl Reader {
    /// Takes a message that lies whole at the beginning of `bytes`, without copying it. What is
    /// gathered already is completed by [`gather`](Self::gather) first.
    pub(super) fn take<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Message<'a>>, Fault> {
        let skip = self.skip.min(bytes.len());
        *bytes = &bytes[skip..];
        self.skip -= skip;
        if !self.partial.is_empty() {
            return Ok(None);
        }
        let Some(header) = Header::of(bytes)? else {
            return Ok(None);
        };
        let Some((message, rest)) = bytes.split_at_checked(HEADER + header.kept) else {
            return Ok(None);
        };
        *bytes = rest;
        self.skip = header.skipped;
        Ok(Some(Message {
            tag: header.tag,
            body: &message[HEADER..],
        }))
    }

    /// Adds bytes to the message that is being gathered, as many as it lacks, and gives it once it
    /// is whole. [`done`](Self::done) must follow that.
    pub(super) fn gather(&mut self, bytes: &mut &[u8]) -> Result<Option<Message<'_>>, Fault> {
        if self.partial.len() < HEADER {
            self.add(bytes, HEADER);
        }
        let Some(header) = Header::of(&self.partial)? else {
            return Ok(None);
        };
        let whole = HEADER + header.kept;
        self.add(bytes, whole);
        if self.partial.len() < whole {
            return Ok(None);
        }
        self.skip = header.skipped;
        Ok(Some(Message {
            tag: header.tag,
            body: &self.partial[HEADER..],
        }))
    }

    fn add(&mut self, bytes: &mut &[u8], up_to: usize) {
        let lacking = up_to.saturating_sub(self.partial.len());
        let (more, rest) = bytes.split_at(lacking.min(bytes.len()));
        self.partial.extend_from_slice(more);
        *bytes = rest;
    }

    /// The message that was gathered has been read.
    pub(super) fn done(&mut self) {
        self.partial.clear();
        self.partial.shrink_to(MOST_KEPT);
    }

    /// How much memory is held for a part of a message.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn capacity(&self) -> usize {
        self.partial.capacity()
    }

    /// Whether a part of a message is here.
    pub(super) fn is_within(&self) -> bool {
        !self.partial.is_empty() || self.skip > 0
    }
}

impl Header {
    fn of(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let Some(&[tag, a, b, c, d]) = bytes.first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(length) = length.checked_sub(4) else {
            let why = format!("a message {} with the length {length}", shown(tag));
            return Err(violation(&why));
        };
        let (most, kept) = match tag {
            b'D' | b'd' => (MOST_OF_ROW, MOST_OF_ROW),
            // PostgreSQL puts whatever a function raises into these.
            b'E' | b'N' => (MOST_OF_ROW, MOST),
            b'T' | b't' => (MOST_OF_DESCRIPTION, MOST_OF_DESCRIPTION),
            _ => (MOST, MOST),
        };
        if length > most {
            let why = format!("a message {} of {length} bytes", shown(tag));
            return Err(violation(&why));
        }
        let kept = length.min(kept);
        Ok(Some(Self {
            tag,
            kept,
            skipped: length - kept,
        }))
    }
}

/// A tag for people.
pub(super) fn shown(tag: u8) -> String {
    if tag.is_ascii_graphic() {
        format!("'{}'", char::from(tag))
    } else {
        format!("{tag:#04x}")
    }
}
