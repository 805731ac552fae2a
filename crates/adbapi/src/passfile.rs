//! Owns the password file (PostgreSQL's manual, 34.16): who may read it and which line counts.
//! Knows no pool; no error repeats a line.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// The default directories of a server's socket. A password file calls them localhost.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// What a line of the file is for.
pub(super) struct Login<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// Looks for the password of a login.
///
/// # Errors
/// Why there is none in this file.
pub(super) fn find(file: &Path, login: &Login<'_>) -> Result<Vec<u8>, String> {
    let shown = file.display();
    let found = fs::metadata(file).map_err(|error| format!("{shown}: {error}"))?;
    if !found.is_file() {
        return Err(format!("{shown} is no plain file"));
    }
    if found.mode() & 0o077 != 0 {
        let mode = found.permissions().mode() & 0o777;
        return Err(format!(
            "{shown} is passed over because others may read it (its mode is {mode:04o}): chmod 600 {shown}"
        ));
    }
    let text = fs::read(file).map_err(|error| format!("{shown}: {error}"))?;
    let host = if SOCKET_DIRECTORIES.contains(&login.host) {
        "localhost"
    } else {
        login.host
    };
    let fields = [host, &login.port.to_string(), login.database, login.user];
    let mut lines = text.split(|byte| *byte == b'\n');
    lines
        .find_map(|line| password(line, &fields))
        .ok_or_else(|| format!("{shown} has no line for {}", fields.join(":")))
}

/// The password of a line, if its first fields are these.
fn password(line: &[u8], fields: &[&str]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.starts_with(b"#") {
        return None;
    }
    let rest = fields
        .iter()
        .try_fold(line, |rest, field| after(rest, field.as_bytes()))?;
    let mut password = Vec::with_capacity(rest.len());
    let mut bytes = rest.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => password.extend(bytes.next()),
            byte => password.push(byte),
        }
    }
    // libpq sends no empty password either.
    (!password.is_empty()).then_some(password)
}

/// The rest of a line behind its first field, if that is `wanted` or `*`.
fn after<'a>(line: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = line.strip_prefix(b"*:") {
        return Some(rest);
    }
    let mut line = line.iter();
    let mut wanted = wanted.iter();
    loop {
        match line.next()? {
            b':' => return wanted.next().is_none().then_some(line.as_slice()),
            b'\\' => {
                if line.next()? != wanted.next()? {
                    return None;
                }
            }
            byte => {
                if byte != wanted.next()? {
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LOGIN: Login<'_> = Login {
        host: "pg.example",
        port: 5432,
        database: "shop",
        user: "app",
    };

    #[test]
    fn lines_match_and_are_unescaped_as_in_libpq() {
        for (line, expected) in [
            ("pg.example:5432:shop:app:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            ("pg.example:*:shop:*:a\\:b\\\\c:d", Some("a:b\\c:d")),
            ("pg.example:5432:shop:app:secret\r", Some("secret")),
            ("pg\\.example:5432:shop:app:secret", Some("secret")),
            ("pg.example:5433:shop:app:secret", None),
            ("pg.example:5432:shop:app", None),
            ("pg.example:5432:shop:app:", None),
            ("pg.exampl:5432:shop:app:secret", None),
            ("pg.example.org:5432:shop:app:secret", None),
            ("#pg.example:5432:shop:app:secret", None),
            ("*x:5432:shop:app:secret", None),
            ("", None),
        ] {
            let found = password(line.as_bytes(), &["pg.example", "5432", "shop", "app"]);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{line}");
        }
        let escaped = password(b"::1:1:d:u:p", &["::1", "1", "d", "u"]);
        assert_eq!(escaped, None);
        let escaped = password(b"\\:\\:1:1:d:u:p", &["::1", "1", "d", "u"]);
        assert_eq!(escaped.as_deref(), Some(&b"p"[..]));
    }

    #[test]
    fn the_first_line_that_matches_counts_and_only_the_owner_may_read_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(
            file,
            "localhost:5432:shop:app:local\n*:*:shop:app:hunter2\n*:*:*:*:last\n"
        )
        .unwrap();
        let find_for = |host| find(file.path(), &Login { host, ..LOGIN });
        assert_eq!(find_for("pg.example").unwrap(), b"hunter2");
        for host in ["localhost", "/tmp", "/var/run/postgresql"] {
            assert_eq!(find_for(host).unwrap(), b"local", "{host}");
        }
        for (mode, shown) in [(0o640, "0640"), (0o604, "0604")] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let reason = find_for("pg.example").unwrap_err();
            assert!(
                reason.contains(&format!("others may read it (its mode is {shown})")),
                "{reason}"
            );
        }
        let reason = find(Path::new("/"), &LOGIN).unwrap_err();
        assert_eq!(reason, "/ is no plain file");
        let reason = find(Path::new("/no/such"), &LOGIN).unwrap_err();
        assert!(reason.starts_with("/no/such: No such file"), "{reason}");
    }
}
