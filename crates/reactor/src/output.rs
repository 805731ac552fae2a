//! A connection's output: its own bytes and references to shared ones, in order. Must not know what
//! they mean, nor the other connections that share them.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write},
    mem,
};

use bytes::Bytes;

/// The kernel is offered so many pieces in one call.
const PIECES_AT_ONCE: usize = 16;

/// Bytes on their way out.
///
/// Mostly that is one buffer, which the kernel takes whole. What is needed beyond that is boxed, so
/// that an idle connection is small.
#[derive(Default)]
pub(super) struct Output {
    /// What was written last. It may be all there is.
    end: Vec<u8>,
    before: Option<Box<Before>>,
}

/// What only a connection with shared output has, or one whose output has left in part.
#[derive(Default)]
struct Before {
    /// What comes before the end.
    pieces: VecDeque<Piece>,
    /// The sum of their lengths.
    len: usize,
    /// The sum of the lengths of the shared ones.
    shared: usize,
    /// So many bytes of the first piece, or of the end if there is none, have left.
    sent: usize,
}

enum Piece {
    Own(Vec<u8>),
    Shared(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Output {
    /// An empty buffer of more than this is given back, so that a connection which once sent much
    /// does not keep the memory while it idles.
    const KEEP: usize = 4 * 1024;

    /// What is appended here is sent.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.end
    }

    pub(super) fn append_shared(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let before = self.before.get_or_insert_default();
        before.len += self.end.len() + bytes.len();
        before.shared += bytes.len();
        if !self.end.is_empty() {
            before
                .pieces
                .push_back(Piece::Own(mem::take(&mut self.end)));
        }
        before.pieces.push_back(Piece::Shared(bytes));
    }

    pub(super) fn unsent(&self) -> usize {
        match &self.before {
            None => self.end.len(),
            Some(before) => before.len + self.end.len() - before.sent,
        }
    }

    /// How many of those are shared.
    pub(super) fn unsent_shared(&self) -> usize {
        let Some(before) = &self.before else {
            return 0;
        };
        match before.pieces.front() {
            Some(Piece::Shared(_)) => before.shared - before.sent,
            _ => before.shared,
        }
    }

    /// The bytes that have not left, as far as they are in one piece.
    pub(super) fn pending(&self) -> &[u8] {
        match &self.before {
            None => &self.end,
            Some(before) => {
                let first = before.pieces.front().map_or(&*self.end, Piece::bytes);
                &first[before.sent..]
            }
        }
    }

    /// Notes that the first `n` of the unsent bytes have left.
    pub(super) fn advance(&mut self, n: usize) {
        if self.before.is_none() && n == self.end.len() {
            return self.end.clear();
        }
        let before = self.before.get_or_insert_default();
        before.sent += n;
        while let Some(first) = before.pieces.front() {
            let len = first.bytes().len();
            if before.sent < len {
                return;
            }
            before.sent -= len;
            before.len -= len;
            if let Some(Piece::Shared(_)) = before.pieces.pop_front() {
                before.shared -= len;
            }
        }
    }

    /// Gives back the memory of what has left.
    pub(super) fn trim(&mut self) {
        if self.unsent() > 0 {
            let Some(before) = &mut self.before else {
                return;
            };
            // What is sent is cut off only when it is the larger part, so that many small writes
            // of a large buffer do not move it each time.
            if before.pieces.is_empty() && before.sent > self.end.len() / 2 {
                self.end.drain(..before.sent);
                self.before = None;
            }
            return;
        }
        self.before = None;
        if self.end.capacity() > Self::KEEP {
            self.end = Vec::new();
        } else {
            self.end.clear();
        }
    }

    /// Hands as much as possible to the kernel, but no more than `most` bytes. Whether the kernel
    /// would not take more.
    pub(super) fn write_to(&mut self, socket: &mut impl Write, most: usize) -> io::Result<bool> {
        let (mut left, mut is_blocked) = (most, false);
        while self.unsent() > 0 && left > 0 {
            let written = match &self.before {
                Some(before) if !before.pieces.is_empty() => {
                    before.write_to(&self.end, socket, left)
                }
                _ => socket.write(up_to(self.pending(), left)),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.advance(n);
                    left -= n;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    is_blocked = true;
                    break;
                }
                Err(e) => return Err(e),
            }
        }
        self.trim();
        Ok(is_blocked)
    }
}

impl Before {
    /// Offers the first pieces, and then `end`, but no more than `most` bytes.
    fn write_to(&self, end: &[u8], socket: &mut impl Write, most: usize) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES_AT_ONCE];
        let pieces = (self.pieces.iter().map(Piece::bytes)).chain([end]);
        let (mut count, mut left) = (0, most);
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            let sent = if count == 0 { self.sent } else { 0 };
            let offered = up_to(&piece[sent..], left);
            *slice = IoSlice::new(offered);
            count += 1;
            left -= offered.len();
            if left == 0 {
                break;
            }
        }
        socket.write_vectored(&slices[..count])
    }
}

/// The first bytes, no more than `most`.
fn up_to(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::pattern;

    /// Takes so much in each call, and nothing in every third.
    struct Taking {
        taken: Vec<u8>,
        at_once: usize,
        calls: usize,
    }

    impl Write for Taking {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let n = bytes.len().min(self.at_once);
            self.taken.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let mut all = Vec::new();
            slices.iter().for_each(|slice| all.extend_from_slice(slice));
            assert!(!all.is_empty());
            self.write(&all)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn own_and_shared_bytes_leave_in_order_however_much_is_taken_at_once() {
        let all = pattern(4000);
        let shared = Bytes::from(all.clone());
        for at_once in [1, 2, 7, 100, 333, 10_000] {
            let mut output = Output::default();
            let mut socket = Taking {
                taken: Vec::new(),
                at_once,
                calls: 0,
            };
            let mut begun = 0;
            for n in 1_usize.. {
                let to = (begun + n * 13 % 97).min(all.len());
                if n % 3 == 0 {
                    output.append_shared(shared.slice(begun..to));
                } else {
                    output.end().extend_from_slice(&all[begun..to]);
                }
                begun = to;
                assert_eq!(output.unsent(), begun - socket.taken.len());
                assert!(output.unsent_shared() <= output.unsent());
                if n % 5 == 0 {
                    output.write_to(&mut socket, usize::MAX).unwrap();
                    assert_eq!(output.unsent(), begun - socket.taken.len());
                }
                if begun == all.len() {
                    break;
                }
            }
            while output.unsent() > 0 {
                output.write_to(&mut socket, usize::MAX).unwrap();
            }
            assert!(socket.taken == all, "{at_once} at once");
            assert!(output.before.is_none() && output.end.is_empty());
        }
    }

    #[test]
    fn no_more_leaves_than_is_asked_for_and_only_a_full_socket_is_blocked() {
        let mut output = Output::default();
        let mut socket = Taking {
            taken: Vec::new(),
            at_once: 10_000,
            calls: 0,
        };
        output.end().extend_from_slice(&[1; 30]);
        output.append_shared(Bytes::from(vec![2; 1000]));
        output.end().extend_from_slice(&[3; 30]);
        assert!(!output.write_to(&mut socket, 500).unwrap());
        assert_eq!((socket.taken.len(), output.unsent()), (500, 560));
        assert!(!output.write_to(&mut socket, 540).unwrap());
        assert_eq!(output.unsent(), 20);
        // The third call is one that takes nothing.
        assert!(output.write_to(&mut socket, 540).unwrap());
        assert!(!output.write_to(&mut socket, 540).unwrap());
        assert_eq!((socket.taken.len(), output.unsent()), (1060, 0));
    }

    #[test]
    fn shared_bytes_are_neither_copied_nor_kept() {
        let bytes = Bytes::from(pattern(100_000));
        let mut output = Output::default();
        output.end().push(1);
        output.append_shared(bytes.clone());
        assert_eq!(output.unsent(), 100_001);
        assert_eq!(output.unsent_shared(), 100_000);
        assert!(!bytes.is_unique());
        let (before, end) = (output.before.as_ref().unwrap(), output.end.capacity());
        let shared = before.pieces[1].bytes();
        assert_eq!((shared.as_ptr(), end), (bytes.as_ptr(), 0));
        output.advance(40_001);
        assert_eq!(output.unsent_shared(), 60_000);
        output.advance(60_000);
        assert_eq!(output.unsent_shared(), 0);
        assert!(bytes.is_unique());
    }
}
