//! Owns WAMP's form of bytes in JSON: ["Binary support in
//! JSON"](https://wamp-proto.org/wamp_latest_ietf.html#name-binary-support-in-json). Must not know
//! whose bytes they are.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Appends a NUL and base64.
pub(super) fn push(to: &mut String, bytes: &[u8]) {
    to.push('\0');
    STANDARD.encode_string(bytes, to);
}

pub(super) fn to_string(bytes: &[u8]) -> String {
    let mut text = String::new();
    push(&mut text, bytes);
    text
}

/// The bytes, if this is what [`push`] makes of some.
pub(super) fn read(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.strip_prefix('\0')?).ok()
}
