//! The few messages of a load in their compact form: written without allocation, read by their first
//! elements. Must not know any other form; the decoder of [`wamp`] reads those.

use std::io::Write;

/// Appends a text message as a client's frame (RFC 6455 5.2).
pub(super) fn put_text(payload: &[u8], out: &mut Vec<u8>) {
    const FIN_TEXT: u8 = 0x81;
    const MASKED: u8 = 0x80;
    out.push(FIN_TEXT);
    if let Some(len) = u8::try_from(payload.len()).ok().filter(|len| *len < 126) {
        out.push(MASKED | len);
    } else if let Ok(len) = u16::try_from(payload.len()) {
        out.push(MASKED | 126);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(MASKED | 127);
        out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    // RFC 6455 5.3: a new and unpredictable key for each frame.
    let key = rand::random::<[u8; 4]>();
    out.extend_from_slice(&key);
    let begin = out.len();
    out.extend_from_slice(payload);
    for word in out[begin..].chunks_mut(4) {
        for (byte, key) in word.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
}

/// Appends a number in decimal.
pub(super) fn put_number(number: u64, out: &mut Vec<u8>) {
    write!(out, "{number}").expect("a Vec takes all");
}

/// An answer or event in the form that routers mostly write: no blanks, no details.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CompactMessage<'a> {
    /// `[50,Request,{}…]` with the arguments as they were written.
    Result { request: u64, payload: &'a [u8] },
    /// `[68,Request,Registration,{}…]` with the arguments as they were written.
    Invocation {
        request: u64,
        registration: u64,
        payload: &'a [u8],
    },
    /// `[36,Subscription,Publication,{},[Number…`.
    Event { subscription: u64, number: u64 },
}

impl<'a> CompactMessage<'a> {
    /// Reads the first elements. `None` for any other message and any other form.
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let mut scanner = Scanner(text.strip_prefix(b"[")?);
        let code = scanner.number()?;
        scanner.skip(b",")?;
        let first = scanner.number()?;
        match code {
            50 => Some(Self::Result {
                request: first,
                payload: scanner.payload()?,
            }),
            68 => {
                scanner.skip(b",")?;
                Some(Self::Invocation {
                    request: first,
                    registration: scanner.number()?,
                    payload: scanner.payload()?,
                })
            }
            36 => {
                scanner.skip(b",")?;
                scanner.number()?;
                let mut payload = Scanner(scanner.payload()?);
                payload.skip(b"[")?;
                Some(Self::Event {
                    subscription: first,
                    number: payload.number()?,
                })
            }
            _ => None,
        }
    }
}

/// What is left of a message's text.
struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    fn skip(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// Takes a number. Something follows it.
    fn number(&mut self) -> Option<u64> {
        let len = self.0.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(len);
        // An id has at most 16 digits.
        if digits.is_empty() || digits.len() > 16 || !matches!(rest[0], b',' | b']') {
            return None;
        }
        self.0 = rest;
        Some(
            digits
                .iter()
                .fold(0, |n, digit| n * 10 + u64::from(digit - b'0')),
        )
    }

    /// Takes empty details. Returns what follows them, up to the end of the message.
    fn payload(&mut self) -> Option<&'a [u8]> {
        self.skip(b",{}")?;
        let payload = self.0.strip_suffix(b"]")?;
        match payload {
            [] => Some(payload),
            _ => payload.strip_prefix(b","),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compact_form_is_read_and_any_other_is_left() {
        let result = |request, payload: &'static str| {
            Some(CompactMessage::Result {
                request,
                payload: payload.as_bytes(),
            })
        };
        for (text, expected) in [
            ("[50,1,{}]", result(1, "")),
            (
                "[50,9007199254740992,{},[1,[2]]]",
                result(9_007_199_254_740_992, "[1,[2]]"),
            ),
            ("[50,7,{},[],{\"a\":1}]", result(7, "[],{\"a\":1}")),
            ("[50, 1, {}]", None),
            ("[50,1,{\"progress\":true}]", None),
            ("[50,,{}]", None),
            ("[50,99999999999999999,{}]", None),
            ("[50,1.5,{}]", None),
            ("[50,1,{}", None),
            ("[50,1", None),
            ("[8,48,1,{},\"a.b\"]", None),
            (
                "[68,3,4,{},[5]]",
                Some(CompactMessage::Invocation {
                    request: 3,
                    registration: 4,
                    payload: b"[5]",
                }),
            ),
            (
                "[36,3,4,{},[17,\"x\"]]",
                Some(CompactMessage::Event {
                    subscription: 3,
                    number: 17,
                }),
            ),
            ("[36,3,4,{}]", None),
            ("[36,3,4,{},[\"x\"]]", None),
            ("", None),
        ] {
            assert_eq!(CompactMessage::read(text.as_bytes()), expected, "{text}");
        }
    }
}
