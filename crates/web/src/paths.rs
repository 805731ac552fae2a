//! Owns the choice of a path service: the longest configured path wins; must not know what the
//! services are.

/// The path services of one web transport, or of a nested one.
#[derive(Debug, Clone)]
pub struct Paths<T> {
    /// Paths without the slash at their end (`""`, `/ws`, `/a/b`), the longest first.
    services: Vec<(String, T)>,
}

impl<T> Paths<T> {
    /// No path yet.
    pub fn new() -> Self {
        Self {
            services: Vec::new(),
        }
    }

    /// Puts a service at a path as the configuration writes it: `/`, `ws`, `a/b`. Slashes at either
    /// end are ignored. Returns the service that stood there before.
    pub fn insert(&mut self, path: &str, service: T) -> Option<T> {
        let path = match path.trim_matches('/') {
            "" => String::new(),
            segments => format!("/{segments}"),
        };
        let longer = |(other, _): &(String, T)| other.len() > path.len();
        let at = self.services.partition_point(longer);
        let same = self.services[at..]
            .iter_mut()
            .take_while(|(other, _)| other.len() == path.len())
            .find(|(other, _)| *other == path);
        if let Some((_, present)) = same {
            return Some(std::mem::replace(present, service));
        }
        self.services.insert(at, (path, service));
        None
    }

    /// The service of the longest path that is the request's path or its beginning in whole
    /// segments, and the rest of the request's path: empty, or from its `/` on.
    ///
    /// `path` is decoded, as in [`RequestHead::path`](super::RequestHead::path).
    pub fn find<'a>(&self, path: &'a str) -> Option<(&T, &'a str)> {
        self.services.iter().find_map(|(prefix, service)| {
            let rest = path.strip_prefix(prefix.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((service, rest))
        })
    }
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_in_whole_segments_wins() {
        let mut paths = Paths::new();
        for path in ["shared", "/", "a/b", "ws", "a"] {
            assert_eq!(paths.insert(path, path), None);
        }
        let cases = [
            ("/", Some(("/", "/"))),
            ("/index.htm", Some(("/", "/index.htm"))),
            ("/ws", Some(("ws", ""))),
            ("/ws/", Some(("ws", "/"))),
            ("/wsx", Some(("/", "/wsx"))),
            ("/WS", Some(("/", "/WS"))),
            ("//ws", Some(("/", "//ws"))),
            ("/shared/x/y", Some(("shared", "/x/y"))),
            ("/a/b/c", Some(("a/b", "/c"))),
            ("/a/bc", Some(("a", "/bc"))),
            ("/a", Some(("a", ""))),
            ("*", None),
        ];
        for (path, expected) in cases {
            let found = paths.find(path).map(|(service, rest)| (*service, rest));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn without_a_root_some_paths_lead_nowhere() {
        let mut paths = Paths::default();
        paths.insert("ws", 1);
        assert_eq!(paths.find("/"), None);
        assert_eq!(paths.find(""), None);
        assert_eq!(paths.find("/ws"), Some((&1, "")));
        assert_eq!(paths.insert("/ws/", 2), Some(1));
        assert_eq!(paths.find("/ws"), Some((&2, "")));
    }
}
