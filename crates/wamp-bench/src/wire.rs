//! The few messages of a load in the few bytes they take: written without allocation, read by
//! their first elements. What does not look as expected is left to the decoder of [`wamp`].

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

/// An answer or event as it mostly looks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Quick<'a> {
    /// `[50,Request,{}…]` with the arguments as they stand there.
    Result { request: u64, payload: &'a [u8] },
    /// `[68,Request,Registration,{}…]` with the arguments as they stand there.
    Invocation {
        request: u64,
        registration: u64,
        payload: &'a [u8],
    },
    /// `[36,Subscription,Publication,{},[Number…`.
    Event { subscription: u64, number: u64 },
}

impl<'a> Quick<'a> {
    /// Reads the first elements; `None` for any other message and for any other way to write it.
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(text.strip_prefix(b"[")?);
        let code = rest.number()?;
        rest.skip(b",")?;
        let first = rest.number()?;
        match code {
            50 => Some(Self::Result {
                request: first,
                payload: rest.payload()?,
            }),
            68 => {
                rest.skip(b",")?;
                Some(Self::Invocation {
                    request: first,
                    registration: rest.number()?,
                    payload: rest.payload()?,
                })
            }
            36 => {
                rest.skip(b",")?;
                rest.number()?;
                let mut payload = Rest(rest.payload()?);
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

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn skip(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// A number that something follows.
    fn number(&mut self) -> Option<u64> {
        let len = self.0.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(len);
        // As many as an id may have; none at all is no number.
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

    /// What follows empty details, up to the end of the message.
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
    fn what_looks_as_expected_is_read_and_all_else_is_left() {
        let result = |request, payload: &'static str| {
            Some(Quick::Result {
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
                Some(Quick::Invocation {
                    request: 3,
                    registration: 4,
                    payload: b"[5]",
                }),
            ),
            (
                "[36,3,4,{},[17,\"x\"]]",
                Some(Quick::Event {
                    subscription: 3,
                    number: 17,
                }),
            ),
            ("[36,3,4,{}]", None),
            ("[36,3,4,{},[\"x\"]]", None),
            ("", None),
        ] {
            assert_eq!(Quick::read(text.as_bytes()), expected, "{text}");
        }
    }
}
