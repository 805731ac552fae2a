//! Owns taking `ws://` and `postgresql://` URLs apart (RFC 3986, as far as these two need it).
//! Knows nothing of the document they stand in. No error repeats any part of the URL: it may hold a
//! password.

use std::collections::BTreeMap;

use super::libpq;

/// Where a WebSocket client connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketUrl {
    /// An IPv6 address stands without brackets.
    pub host: String,
    /// 80 where none is written.
    pub port: u16,
    /// With the query, beginning with `/`.
    pub path: String,
}

impl WebSocketUrl {
    /// Parses `ws://host[:port][/path][?query]` (RFC 6455, section 3).
    ///
    /// # Errors
    /// What it must be, and for `wss` what to do instead.
    pub fn parse(url: &str) -> Result<Self, String> {
        if url.starts_with("wss://") {
            return Err(
                "`wss://` (TLS) is known to Crossbar.io, not served by wampgres yet: dial `ws://`, through a TLS proxy \
                 or a tunnel"
                    .into(),
            );
        }
        let form = "must be a WebSocket URL such as ws://127.0.0.1:8080/ws";
        let rest = url.strip_prefix("ws://").ok_or(form)?;
        if rest.contains('#') || rest.contains(char::is_whitespace) {
            return Err(format!("{form}, without blanks and without `#`"));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(format!("{form}, without user and password"));
        }
        let (host, port) = host_and_port(authority)?;
        if host.is_empty() {
            return Err(form.into());
        }
        let path = match path {
            path if path.starts_with('/') => path.to_owned(),
            query => format!("/{query}"),
        };
        Ok(Self {
            host: host.to_owned(),
            port: port.unwrap_or(80),
            path,
        })
    }
}

/// What a URL says of a database connection, by the name of libpq's parameter. The values are still
/// text.
#[derive(Default)]
pub(super) struct PostgresUrl(pub(super) BTreeMap<&'static str, String>);

impl PostgresUrl {
    /// Whether the URL is one of PostgreSQL's at all.
    pub(super) fn is_postgres(url: &str) -> bool {
        url.starts_with("postgresql://") || url.starts_with("postgres://")
    }

    /// Parses `postgresql://[user[:password]@][host[:port],...][/database][?parameters]`
    /// (PostgreSQL's manual, 34.1.1.2).
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("postgresql://")
            .or_else(|| url.strip_prefix("postgres://"))
            .ok_or("it must begin with postgresql:// or postgres://")?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, addresses) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let mut url = Self::default();
        url.servers(addresses)?;
        url.insert("dbname", decoded(database)?);
        url.insert("user", decoded(user)?);
        url.insert("password", decoded(password)?);
        // A `?` or `&` that belongs to a password makes parts of it look like names.
        let mut may_name = !parameters.contains('@');
        for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            url.parameter(name, value, may_name)?;
            may_name &= !name.contains("password");
        }
        Ok(url)
    }

    fn parameter(&mut self, name: &str, value: &str, may_name: bool) -> Result<(), String> {
        // libpq takes it as well, for the sake of JDBC's URLs.
        if (name, value) == ("ssl", "true") {
            self.insert("sslmode", Some("require".to_owned()));
            return Ok(());
        }
        let Some(known) = libpq::named(name) else {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let shown = if may_name && name.len() <= 40 && name.chars().all(is_word) {
                format!("`{name}`")
            } else {
                "that is not shown".to_owned()
            };
            return Err(format!(
                "it has a parameter {shown}, which libpq does not know: remove it"
            ));
        };
        self.insert(known.name, decoded(value)?);
        Ok(())
    }

    fn insert(&mut self, name: &'static str, value: Option<String>) {
        let Some(value) = value else { return };
        match name {
            "requiressl" => {
                let mode = libpq::sslmode_of_requiressl(&value);
                self.0.insert("sslmode", mode.to_owned())
            }
            name => self.0.insert(name, value),
        };
    }

    /// The hosts and the ports, each as a list with a place for every server.
    fn servers(&mut self, addresses: &str) -> Result<(), String> {
        let mut hosts = Vec::new();
        let mut ports = Vec::new();
        for address in addresses.split(',') {
            let (host, port) = host_and_port(address)?;
            if port == Some(0) {
                return Err("its port must not be 0".into());
            }
            hosts.push(decoded(host)?.unwrap_or_default());
            ports.push(port.map(|port| port.to_string()).unwrap_or_default());
        }
        let list = |all: Vec<String>| {
            let said = all.iter().any(|one| !one.is_empty());
            said.then(|| all.join(","))
        };
        self.insert("host", list(hosts));
        self.insert("port", list(ports));
        Ok(())
    }
}

/// Splits `host`, `host:port`, `[::1]` and `[::1]:port`. The host comes without brackets.
fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a `]` is missing")?;
            match rest.strip_prefix(':') {
                None if !rest.is_empty() => return Err("a `:` must follow the `]`".into()),
                port => (host, port),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    match port {
        None | Some("") => Ok((host, None)),
        Some(port) => match port.parse() {
            Ok(port) => Ok((host, Some(port))),
            Err(_) => Err("its port must be a number from 0 to 65535".into()),
        },
    }
}

/// Undoes percent-encoding (RFC 3986, section 2.1). An empty text counts as none, as libpq takes
/// it.
fn decoded(text: &str) -> Result<Option<String>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err("a `%` is not followed by two hexadecimal digits".into());
        };
        bytes.push((high * 16 + low) as u8);
        rest = &tail[2..];
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err("it holds an encoded NUL".into()),
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(_) => Err("its percent-encoded bytes are not UTF-8".into()),
    }
}
