//! Owns how the parts of a message are read. Must not know what messages there are.

use super::report::{Fault, violation};

/// What is left of a message's body.
pub(super) struct Body<'a>(pub(super) &'a [u8]);

impl<'a> Body<'a> {
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or_else(short)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.bytes().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.bytes().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Fault> {
        self.bytes().map(i32::from_be_bytes)
    }

    /// The bytes up to a NUL.
    pub(super) fn text(&mut self) -> Result<&'a [u8], Fault> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let (text, rest) = self.0.split_at(end.ok_or_else(short)?);
        self.0 = &rest[1..];
        Ok(text)
    }

    /// Fails if something is left.
    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(violation("a message that is longer than what is in it"))
    }
}

fn short() -> Fault {
    violation("a message that is shorter than what should be in it")
}

/// Text of the server's for people and names. It is UTF-8 unless the server is broken.
pub(super) fn lossy(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}
