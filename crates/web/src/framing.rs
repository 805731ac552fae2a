//! Owns where a request ends and whether another may follow it (RFC 9112 6 and 9.3); must not know
//! targets or services.

use ::http::{HeaderMap, Version, header};

use super::{
    fields::{has_token, list_elements},
    rejection::Rejection,
};

/// The body that follows a request's head. No service reads one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestBody {
    /// This many bytes; 0 where the request has no body.
    Length(u64),
    /// As many as its chunks say (RFC 9112 7.1).
    Chunked,
}

impl RequestBody {
    /// The framing that the header fields declare. Whatever is ambiguous is refused: a proxy in
    /// front that reads it in another way would let one request hide in another (RFC 9112 11.2).
    pub(super) fn declared(version: Version, headers: &HeaderMap) -> Result<Self, Rejection> {
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return Self::transfer_coded(version, headers);
        }
        let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
        let Some(length) = lengths.next() else {
            return Ok(Self::Length(0));
        };
        // RFC 9112 6.3 rule 5 would allow "5, 5", but no honest client sends it.
        if lengths.next().is_some() {
            return Err(Rejection::Malformed("Content-Length is repeated."));
        }
        // Digits alone: str::parse would take "+5" too.
        let digits = length
            .to_str()
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        digits
            .and_then(|digits| digits.parse().ok())
            .map(Self::Length)
            .ok_or(Rejection::Malformed("Content-Length is not a number."))
    }

    fn transfer_coded(version: Version, headers: &HeaderMap) -> Result<Self, Rejection> {
        // RFC 9112 6.1: both fields together are an attempt at smuggling.
        if headers.contains_key(header::CONTENT_LENGTH) {
            return Err(Rejection::Malformed(
                "Content-Length and Transfer-Encoding exclude each other.",
            ));
        }
        // RFC 9112 6.1: the framing is faulty, whatever the coding.
        if version != Version::HTTP_11 {
            return Err(Rejection::Malformed("HTTP/1.0 has no Transfer-Encoding."));
        }
        let codings: Vec<&str> = list_elements(headers, &header::TRANSFER_ENCODING).collect();
        let is_chunked = |coding: &&str| coding.eq_ignore_ascii_case("chunked");
        let Some((last, others)) = codings.split_last() else {
            return Err(Rejection::Malformed("Transfer-Encoding is empty."));
        };
        // RFC 9112 6.3 rule 4: without chunked at the end nobody can tell the length;
        // RFC 9112 6.1: chunked is applied once.
        if !is_chunked(last) || others.iter().any(is_chunked) {
            return Err(Rejection::Malformed(
                "Transfer-Encoding does not end in one chunked.",
            ));
        }
        if !others.is_empty() {
            return Err(Rejection::NotImplemented(
                "The only transfer coding read here is chunked.",
            ));
        }
        Ok(Self::Chunked)
    }
}

/// Whether the client waits for a 100 before it sends its body (RFC 9110 10.1.1).
pub(super) fn expects_continue(version: Version, headers: &HeaderMap) -> Result<bool, Rejection> {
    if version != Version::HTTP_11 || !headers.contains_key(header::EXPECT) {
        return Ok(false);
    }
    let lines = headers.get_all(header::EXPECT).iter().count();
    let mut elements = list_elements(headers, &header::EXPECT);
    match (lines, elements.next(), elements.next()) {
        (1, Some(only), None) if only.eq_ignore_ascii_case("100-continue") => Ok(true),
        _ => Err(Rejection::ExpectationFailed),
    }
}

/// Whether the client means to send another request (RFC 9112 9.3).
pub(super) fn wants_to_persist(version: Version, headers: &HeaderMap) -> bool {
    if has_token(headers, &header::CONNECTION, "close") {
        return false;
    }
    version == Version::HTTP_11 || has_token(headers, &header::CONNECTION, "keep-alive")
}
