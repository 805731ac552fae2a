//! Owns the reading of header fields that are comma-separated lists (RFC 9110 5.6.1); must not know
//! what any field means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::{HeaderMap, HeaderName};

/// The elements of a list-valued field in order, over all its lines, empty ones left out.
///
/// A line that is not visible ASCII has no elements. Elements must not be quoted strings
/// with commas in them: for entity tags see `conditional`.
pub(super) fn list_elements<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|element| element.trim_matches([' ', '\t']))
        .filter(|element| !element.is_empty())
}

/// Whether a list-valued field has this token, in any case of its letters.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list_elements(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}

/// The value of a field that may stand once; `None` when it is absent, repeated or not ASCII.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        _ => None,
    }
}

/// Whether the text is a token of RFC 9110 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The time in whole seconds since 1970. `None` before 1970 and after the year 9999, which an
/// IMF-fixdate cannot express.
pub(super) fn http_seconds(time: SystemTime) -> Option<u64> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds < YEAR_10000).then_some(seconds)
}

/// The time as an IMF-fixdate (RFC 9110 5.6.7); `seconds` came from [`http_seconds`].
pub(super) fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_http_cannot_write_are_none() {
        let cases = [
            (UNIX_EPOCH, Some(0)),
            (UNIX_EPOCH + Duration::from_millis(1999), Some(1)),
            (UNIX_EPOCH - Duration::from_secs(1), None),
            (
                UNIX_EPOCH + Duration::from_secs(253_402_300_799),
                Some(253_402_300_799),
            ),
            (UNIX_EPOCH + Duration::from_secs(253_402_300_800), None),
        ];
        for (time, expected) in cases {
            assert_eq!(http_seconds(time), expected, "{time:?}");
        }
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(253_402_300_799), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
