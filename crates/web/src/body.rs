//! Owns the bytes of a response's content until they are pulled; must not know heads, statuses or
//! sockets.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};

/// The content of a response, pulled in chunks as the connection's output drains.
#[derive(Debug)]
pub struct Body {
    source: Source,
    remaining: u64,
}

#[derive(Debug)]
enum Source {
    Bytes(Cow<'static, [u8]>),
    Shared(Arc<[u8]>),
    File(File),
}

impl Body {
    /// No content.
    pub fn empty() -> Self {
        Self::bytes(Vec::new())
    }

    /// Content that is in memory.
    pub fn bytes(content: impl Into<Cow<'static, [u8]>>) -> Self {
        let content = content.into();
        Self {
            remaining: content.len() as u64,
            source: Source::Bytes(content),
        }
    }

    /// Content that several responses have in memory together.
    pub fn shared(content: Arc<[u8]>) -> Self {
        Self {
            remaining: content.len() as u64,
            source: Source::Shared(content),
        }
    }

    /// `length` bytes of a file from `offset` on, in bytes.
    ///
    /// # Errors
    ///
    /// The file cannot be positioned there.
    pub fn file(mut file: File, offset: u64, length: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self {
            source: Source::File(file),
            remaining: length,
        })
    }

    /// How many bytes have not been pulled yet.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Appends at most `max` further bytes to `out` and says whether more will follow.
    ///
    /// # Errors
    ///
    /// A file could not be read, or ends before the length that the head has announced: the
    /// connection must be closed, so that the client sees that content is missing.
    ///
    /// # Blocking
    ///
    /// Reads up to `max` bytes of a regular file.
    pub fn fill(&mut self, out: &mut Vec<u8>, max: usize) -> io::Result<bool> {
        let chunk = self.remaining.min(max as u64);
        match &mut self.source {
            Source::Bytes(content) => out.extend_from_slice(part(content, self.remaining, chunk)),
            Source::Shared(content) => out.extend_from_slice(part(content, self.remaining, chunk)),
            Source::File(file) => {
                out.reserve(chunk as usize);
                let read = file.by_ref().take(chunk).read_to_end(out)?;
                if (read as u64) < chunk {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file became shorter while it was sent",
                    ));
                }
            }
        }
        self.remaining -= chunk;
        Ok(self.remaining > 0)
    }
}

/// The next `chunk` bytes of content that has `remaining` bytes left.
fn part(content: &[u8], remaining: u64, chunk: u64) -> &[u8] {
    let start = content.len() - remaining as usize;
    &content[start..start + chunk as usize]
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file_with(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn every_source_comes_in_bounded_chunks() {
        let bodies = [
            (Body::empty(), ""),
            (Body::bytes(&b"0123456789"[..]), "0123456789"),
            (Body::bytes(b"0123".to_vec()), "0123"),
            (Body::shared(Arc::from(*b"0123456")), "0123456"),
            (
                Body::file(file_with(b"0123456789"), 0, 10).unwrap(),
                "0123456789",
            ),
            (Body::file(file_with(b"0123456789"), 3, 4).unwrap(), "3456"),
            (Body::file(file_with(b""), 0, 0).unwrap(), ""),
        ];
        for (mut body, expected) in bodies {
            let mut out = Vec::new();
            let mut before = 0;
            assert_eq!(body.remaining(), expected.len() as u64);
            while body.fill(&mut out, 3).unwrap() {
                assert_eq!(out.len() - before, 3);
                before = out.len();
            }
            assert_eq!(out, expected.as_bytes());
            assert_eq!(body.remaining(), 0);
            assert!(!body.fill(&mut out, 3).unwrap());
            assert_eq!(out, expected.as_bytes());
        }
    }

    #[test]
    fn no_room_is_no_progress() {
        let mut out = Vec::new();
        assert!(Body::bytes(&b"x"[..]).fill(&mut out, 0).unwrap());
        assert!(out.is_empty());
    }

    #[test]
    fn a_file_that_shrank_is_an_error_and_one_that_grew_is_cut() {
        let mut file = file_with(b"0123456789");
        let mut body = Body::file(file.try_clone().unwrap(), 0, 10).unwrap();
        let mut out = Vec::new();
        assert!(body.fill(&mut out, 4).unwrap());
        file.set_len(6).unwrap();
        let error = body.fill(&mut out, 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

        file.set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut body = Body::file(file, 0, 4).unwrap();
        out.clear();
        assert!(!body.fill(&mut out, 100).unwrap());
        assert_eq!(out, b"0123");
    }
}
