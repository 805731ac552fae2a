//! Owns the preconditions of conditional requests (RFC 9110 13); must not know files or what is
//! answered.

use ::http::{HeaderMap, HeaderName, header};

use super::fields::{http_seconds, single};

/// What tells one state of a representation from another (RFC 9110 8.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// A strong entity tag, with its quotes.
    pub(super) etag: String,
    /// The last change in seconds since 1970, where HTTP can write it.
    pub(super) modified: Option<u64>,
}

/// The result of the preconditions of a GET or HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl Validators {
    /// Evaluates the preconditions in the order of RFC 9110 13.2.2.
    pub(super) fn verdict(&self, headers: &HeaderMap) -> Verdict {
        if headers.contains_key(header::IF_MATCH) {
            if !self.named_by(headers, &header::IF_MATCH, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if self.changed_since(headers, &header::IF_UNMODIFIED_SINCE) == Some(true) {
            return Verdict::Failed;
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            if self.named_by(headers, &header::IF_NONE_MATCH, Comparison::Weak) {
                return Verdict::NotModified;
            }
        } else if self.changed_since(headers, &header::IF_MODIFIED_SINCE) == Some(false) {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether a `Range` may be honoured, as far as `If-Range` is concerned (RFC 9110 13.1.5).
    ///
    /// A date must equal `Last-Modified` to the second. The client has to make sure that it is a
    /// strong validator before it sends one.
    pub(super) fn range_holds(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(header::IF_RANGE) {
            return true;
        }
        match single(headers, &header::IF_RANGE) {
            Some(tag) if tag.starts_with('"') => tag == self.etag,
            Some(date) => self.modified.is_some() && date_seconds(date) == self.modified,
            None => false,
        }
    }

    /// Whether a list of entity tags holds ours, or is `*`.
    fn named_by(&self, headers: &HeaderMap, name: &HeaderName, comparison: Comparison) -> bool {
        headers.get_all(name).iter().any(|line| {
            let line = line.as_bytes().trim_ascii();
            line == b"*"
                || EntityTags(line).any(|(weak, tag)| {
                    tag == self.etag.as_bytes() && !(weak && comparison == Comparison::Strong)
                })
        })
    }

    /// `None` where the field is absent, repeated or not a date; the last two are to be ignored.
    fn changed_since(&self, headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
        let since = date_seconds(single(headers, name)?)?;
        Some(self.modified? > since)
    }
}

/// RFC 9110 8.8.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn date_seconds(date: &str) -> Option<u64> {
    http_seconds(httpdate::parse_http_date(date).ok()?)
}

/// The entity tags of a list: whether weak, and the tag in its quotes. It ends at the first element
/// that is no entity tag. A tag may hold commas, so the list cannot be split at them.
struct EntityTags<'a>(&'a [u8]);

impl<'a> Iterator for EntityTags<'a> {
    type Item = (bool, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.0.iter().position(|byte| !b", \t".contains(byte))?;
        let list = &self.0[start..];
        let (weak, list) = match list.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, list),
        };
        let inside = list.strip_prefix(b"\"")?;
        let length = inside.iter().position(|&byte| byte == b'"')?;
        let (tag, rest) = list.split_at(length + 2);
        if !matches!(rest.first(), None | Some(b',' | b' ' | b'\t')) {
            return None;
        }
        self.0 = rest;
        Some((weak, tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn validators() -> Validators {
        Validators {
            etag: "\"now\"".to_owned(),
            modified: Some(784_111_777),
        }
    }

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn check_verdicts(cases: &[(&[(HeaderName, &str)], Verdict)]) {
        for (fields, verdict) in cases {
            assert_eq!(
                validators().verdict(&headers(fields)),
                *verdict,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        use Verdict::{NotModified, Proceed};
        use header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
        check_verdicts(&[
            (&[], Proceed),
            // If-None-Match compares weakly.
            (&[(IF_NONE_MATCH, "\"now\"")], NotModified),
            (&[(IF_NONE_MATCH, "W/\"now\"")], NotModified),
            (&[(IF_NONE_MATCH, "*")], NotModified),
            (&[(IF_NONE_MATCH, " * ")], NotModified),
            (&[(IF_NONE_MATCH, "\"old\"")], Proceed),
            (&[(IF_NONE_MATCH, "\"a,b\", W/\"c\" ,\"now\"")], NotModified),
            (
                &[(IF_NONE_MATCH, "\"a\""), (IF_NONE_MATCH, "\"now\"")],
                NotModified,
            ),
            (&[(IF_NONE_MATCH, "\"a,\"now\"")], Proceed),
            (&[(IF_NONE_MATCH, "now")], Proceed),
            (&[(IF_NONE_MATCH, "\"now")], Proceed),
            (&[(IF_NONE_MATCH, "\"*\"")], Proceed),
            (&[(IF_NONE_MATCH, "")], Proceed),
            // It has precedence over If-Modified-Since.
            (
                &[(IF_NONE_MATCH, "\"old\""), (IF_MODIFIED_SINCE, AFTER)],
                Proceed,
            ),
            (
                &[(IF_NONE_MATCH, "\"now\""), (IF_MODIFIED_SINCE, BEFORE)],
                NotModified,
            ),
            (&[(IF_MODIFIED_SINCE, BEFORE)], Proceed),
            (&[(IF_MODIFIED_SINCE, MODIFIED)], NotModified),
            (&[(IF_MODIFIED_SINCE, AFTER)], NotModified),
            (
                &[(IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT")],
                NotModified,
            ),
            (
                &[(IF_MODIFIED_SINCE, "Sun Nov  6 08:49:37 1994")],
                NotModified,
            ),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Proceed),
            (
                &[(IF_MODIFIED_SINCE, AFTER), (IF_MODIFIED_SINCE, AFTER)],
                Proceed,
            ),
        ]);
    }

    #[test]
    fn what_has_changed_fails_before_anything_else_is_weighed() {
        use Verdict::{Failed, NotModified, Proceed};
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
        check_verdicts(&[
            // If-Match compares strongly.
            (&[(IF_MATCH, "\"now\"")], Proceed),
            (&[(IF_MATCH, "\"old\", \"now\"")], Proceed),
            (&[(IF_MATCH, "*")], Proceed),
            (&[(IF_MATCH, "W/\"now\"")], Failed),
            (&[(IF_MATCH, "\"old\"")], Failed),
            (&[(IF_MATCH, "now")], Failed),
            (&[(IF_MATCH, "\"old\""), (IF_NONE_MATCH, "\"now\"")], Failed),
            (
                &[(IF_MATCH, "\"now\""), (IF_NONE_MATCH, "\"now\"")],
                NotModified,
            ),
            (
                &[(IF_MATCH, "\"now\""), (IF_UNMODIFIED_SINCE, BEFORE)],
                Proceed,
            ),
            (&[(IF_UNMODIFIED_SINCE, BEFORE)], Failed),
            (&[(IF_UNMODIFIED_SINCE, MODIFIED)], Proceed),
            (&[(IF_UNMODIFIED_SINCE, "tomorrow")], Proceed),
            (
                &[(IF_UNMODIFIED_SINCE, AFTER), (IF_MODIFIED_SINCE, AFTER)],
                NotModified,
            ),
        ]);
    }

    #[test]
    fn dates_are_ignored_where_the_last_change_is_unknown() {
        let unknown = Validators {
            modified: None,
            ..validators()
        };
        for name in [header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE] {
            assert_eq!(
                unknown.verdict(&headers(&[(name, AFTER)])),
                Verdict::Proceed
            );
        }
        assert!(!unknown.range_holds(&headers(&[(header::IF_RANGE, "never")])));
    }

    #[test]
    fn a_range_holds_for_the_same_state_alone() {
        let cases = [
            ("\"now\"", true),
            ("W/\"now\"", false),
            ("\"old\"", false),
            (MODIFIED, true),
            (BEFORE, false),
            (AFTER, false),
            ("*", false),
            ("", false),
        ];
        for (value, holds) in cases {
            let fields = headers(&[(header::IF_RANGE, value)]);
            assert_eq!(validators().range_holds(&fields), holds, "{value}");
        }
        assert!(validators().range_holds(&HeaderMap::new()));
    }
}
