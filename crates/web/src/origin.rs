//! Owns which web pages may connect: Crossbar's `allowed_origins`; must not know handshakes or
//! configuration files.

/// The compiled `allowed_origins` of a WebSocket service.
///
/// A pattern is an origin in which `*` stands for any characters but `/` and `@`. The pattern `*`
/// alone allows every origin. Upper and lower case are equal. A pattern is compared with the origin
/// as sent, and with the default port of its scheme added, so `http://localhost:*` covers
/// `http://localhost` too. `null` is the origin of local files and sandboxed frames.
#[derive(Debug, Clone)]
pub struct AllowedOrigins {
    patterns: Vec<String>,
}

impl AllowedOrigins {
    /// The origins that match one of these patterns.
    pub fn new<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Self {
        Self {
            patterns: patterns
                .into_iter()
                .map(|pattern| pattern.as_ref().to_ascii_lowercase())
                .collect(),
        }
    }

    /// Whether a request with this `Origin` may open a WebSocket.
    ///
    /// `None`, no `Origin`, is allowed: browsers always send one (RFC 6455 4.1), and other
    /// clients could write into it what they like.
    pub fn allows(&self, origin: Option<&str>) -> bool {
        let Some(origin) = origin else {
            return true;
        };
        let origin = origin.to_ascii_lowercase();
        let with_port = with_default_port(&origin);
        self.patterns.iter().any(|pattern| {
            pattern == "*"
                || matches(pattern.as_bytes(), origin.as_bytes())
                || with_port
                    .as_deref()
                    .is_some_and(|origin| matches(pattern.as_bytes(), origin.as_bytes()))
        })
    }
}

/// The origin with the default port of its scheme, if it names no port.
fn with_default_port(origin: &str) -> Option<String> {
    let (scheme, host) = origin.split_once("://")?;
    let port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    // A colon inside of brackets belongs to an IPv6 address.
    let after_address = host.rsplit(']').next().unwrap_or(host);
    (!after_address.contains(':')).then(|| format!("{origin}:{port}"))
}

/// Wildcard matching in one pass. Only the last `*` ever has to take more: what stands before it
/// has matched as early as it can.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the pattern goes on after the last `*`, and what text that one has left over.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            star = Some((p, t));
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else {
            match star {
                Some((after, from)) if !b"/@".contains(&text[from]) => {
                    star = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                _ => return false,
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_match_their_patterns_and_nothing_near_them() {
        let cases: [(&[&str], &str, bool); 30] = [
            (&["*"], "http://anything", true),
            (&["*"], "null", true),
            (&["*"], "file://", true),
            (&[], "http://a", false),
            (&["null"], "null", true),
            (&["null"], "http://null", false),
            (&["http://a"], "http://a", true),
            (&["http://a"], "HTTP://A", true),
            (&["HTTP://a"], "http://a", true),
            (&["http://a"], "https://a", false),
            (&["http://a"], "http://a:8080", false),
            (&["http://a"], "http://a.evil.com", false),
            (&["http://a"], "http://xa", false),
            (&["http://a:80"], "http://a", true),
            (&["https://a:443"], "https://a", true),
            (&["http://localhost:*"], "http://localhost:8080", true),
            (&["http://localhost:*"], "http://localhost", true),
            (&["http://localhost:*"], "https://localhost:1", false),
            (&["http://localhost:*"], "http://localhost.evil:1", false),
            (&["http://localhost:*"], "http://localhost:x@evil", false),
            (&["http://[::1]:*"], "http://[::1]", true),
            (&["https://*.example.com"], "https://a.example.com", true),
            (&["https://*.example.com"], "https://a.b.example.com", true),
            (&["https://*.example.com"], "https://example.com", false),
            (&["https://*.example.com"], "https://aexample.com", false),
            (
                &["https://*.example.com"],
                "https://evil/.example.com",
                false,
            ),
            (&["https://*.example.com"], "https://a-example-com", false),
            (&["*://a:*"], "https://a", true),
            (&["http://x", "http://y*"], "http://yes.no", true),
            (&["http://*a*b*"], "http://xaxxbab", true),
        ];
        for (patterns, origin, expected) in cases {
            let allowed = AllowedOrigins::new(patterns);
            assert_eq!(
                allowed.allows(Some(origin)),
                expected,
                "{patterns:?} {origin}"
            );
        }
    }

    #[test]
    fn who_sends_no_origin_is_no_web_page() {
        assert!(AllowedOrigins::new(["http://a"]).allows(None));
        assert!(AllowedOrigins::new(["*"]).allows(Some("http://b")));
    }

    #[test]
    fn a_hostile_origin_costs_no_time() {
        let allowed = AllowedOrigins::new(["http://*a*a*a*a*a*a*a*b"]);
        let origin = format!("http://{}", "a".repeat(8000));
        assert!(!allowed.allows(Some(&origin)));
    }
}
