//! Owns what the system knows: who runs the program, and where this machine's PostgreSQL listens.
//! Knows no parameters.

use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};

/// Where the server of this machine has its socket: the directory of Debian's PostgreSQL and most
/// others, or that of one built from source.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The user who runs the program, as the system has it; the environment may lie.
pub(super) fn name() -> Option<String> {
    this().map(|user| user.name)
}

/// That user's home.
pub(super) fn home(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    (variable("HOME").map(PathBuf::from)).or_else(|| this().map(|user| user.dir))
}

fn this() -> Option<User> {
    User::from_uid(geteuid()).ok().flatten()
}

/// The directory in which to look for a server that nobody has named.
pub(in crate::config) fn socket_directory() -> &'static str {
    let [usual, other] = SOCKET_DIRECTORIES;
    if Path::new(usual).is_dir() {
        usual
    } else {
        other
    }
}
