//! Owns reading PostgreSQL's binary forms, piece by piece. Must not know any type.

/// The bytes are not what their type should have.
#[derive(Debug)]
pub(super) struct Malformed;

/// What is left of a value.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

macro_rules! numbers {
    ($($type:ident)*) => {
        $(pub(super) fn $type(&mut self) -> Result<$type, Malformed> {
            self.array().map($type::from_be_bytes)
        })*
    };
}

impl<'a> Bytes<'a> {
    numbers!(u8 u16 i16 u32 i32 u64 i64 f32 f64);

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn slice(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (first, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    /// A count, which is never more than there are bytes.
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.i32()?).map_err(|_| Malformed)?;
        if count > self.0.len() {
            return Err(Malformed);
        }
        Ok(count)
    }

    /// A value with its length before it; `None` for NULL.
    pub(super) fn value(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.i32()? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| Malformed)?;
                self.slice(len).map(Some)
            }
        }
    }

    /// Text up to a NUL.
    pub(super) fn c_str(&mut self) -> Result<&'a str, Malformed> {
        let len = self.0.iter().position(|byte| *byte == 0);
        let text = self.slice(len.ok_or(Malformed)?)?;
        self.0 = &self.0[1..];
        text_of(text)
    }

    /// All the rest as text.
    pub(super) fn text(self) -> Result<&'a str, Malformed> {
        text_of(self.0)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}
