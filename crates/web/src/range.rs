//! Owns byte ranges (RFC 9110 14); must not know files or preconditions.

use ::http::{HeaderMap, header};

use super::fields::single;

/// The part of a representation that a `Range` field selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// All of it: no range, none that is understood, or several.
    Whole,
    /// From `first` to `last`, both included, both in it.
    Part {
        /// The position of the first byte.
        first: u64,
        /// The position of the last byte.
        last: u64,
    },
    /// 416: the range is valid and begins behind the end.
    Unsatisfiable,
}

impl ByteRange {
    /// What the request selects of `length` bytes.
    ///
    /// Several ranges select the whole (RFC 9110 14.2 lets a server ignore the field): they
    /// are rare, and overlapping ones are a known way to make a server work for nothing.
    pub(super) fn selected(headers: &HeaderMap, length: u64) -> Self {
        single(headers, &header::RANGE)
            .and_then(|value| parse(value, length))
            .unwrap_or(Self::Whole)
    }
}

/// `None` for what is to be ignored.
fn parse(value: &str, length: u64) -> Option<ByteRange> {
    let (unit, spec) = value.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim_matches([' ', '\t']).split_once('-')?;
    if first.is_empty() {
        return suffix(position(last)?, length);
    }
    let first = position(first)?;
    let last = match last {
        "" => u64::MAX,
        last => position(last)?,
    };
    if last < first {
        return None;
    }
    if first >= length {
        return Some(ByteRange::Unsatisfiable);
    }
    Some(ByteRange::Part {
        first,
        last: last.min(length - 1),
    })
}

/// The last `count` bytes.
fn suffix(count: u64, length: u64) -> Option<ByteRange> {
    if count == 0 {
        return Some(ByteRange::Unsatisfiable);
    }
    // RFC 9110 14.1.2 lets any suffix select an empty representation, but no Content-Range
    // can say so.
    let last = length.checked_sub(1)?;
    Some(ByteRange::Part {
        first: length.saturating_sub(count),
        last,
    })
}

/// Digits alone; more than fit mean "behind every end".
fn position(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_select_parts() {
        use ByteRange::{Part, Unsatisfiable, Whole};
        let part = |first, last| Part { first, last };
        let cases = [
            // value, length, selected
            ("bytes=0-0", 10, part(0, 0)),
            ("bytes=2-5", 10, part(2, 5)),
            ("Bytes=2-5", 10, part(2, 5)),
            ("bytes= 2-5 ", 10, part(2, 5)),
            ("bytes=2-", 10, part(2, 9)),
            ("bytes=0-", 10, part(0, 9)),
            ("bytes=9-9", 10, part(9, 9)),
            ("bytes=5-100", 10, part(5, 9)),
            ("bytes=5-99999999999999999999999", 10, part(5, 9)),
            ("bytes=-3", 10, part(7, 9)),
            ("bytes=-100", 10, part(0, 9)),
            ("bytes=-99999999999999999999999", 10, part(0, 9)),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-20", 10, Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-5", 0, Whole),
            ("bytes=5-2", 10, Whole),
            ("bytes=0-1,3-4", 10, Whole),
            ("bytes=0-1,", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("bytes=--1", 10, Whole),
            ("bytes=1 - 2", 10, Whole),
            ("bytes 1-2", 10, Whole),
            ("lines=1-2", 10, Whole),
        ];
        for (value, length, selected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, value.parse().unwrap());
            assert_eq!(ByteRange::selected(&headers, length), selected, "{value}");
            headers.append(header::RANGE, value.parse().unwrap());
            assert_eq!(
                ByteRange::selected(&headers, length),
                Whole,
                "{value} twice"
            );
        }
        assert_eq!(ByteRange::selected(&HeaderMap::new(), 10), Whole);
    }
}
