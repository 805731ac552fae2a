//! Owns the search for installed PostgreSQL server binaries; knows nothing of how they are used.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{Error, directory::Directory, tried};

/// Where to search. Tests search elsewhere.
pub(super) struct Places {
    /// The directories of `PATH`.
    path: Vec<PathBuf>,
    /// Debian keeps each major version's server in `MAJOR/bin` below this.
    debian: PathBuf,
}

impl Places {
    pub(super) fn of_this_system() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        Self::new(env::split_paths(&path), "/usr/lib/postgresql")
    }

    pub(super) fn new(path: impl IntoIterator<Item = PathBuf>, debian: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into_iter().filter(|dir| dir.is_absolute()).collect(),
            debian: debian.into(),
        }
    }

    /// The directories that hold a server, the preferred first.
    fn candidates(&self) -> Vec<PathBuf> {
        let mut candidates = self.path.clone();
        candidates.extend(self.debian_newest_first());
        candidates.extend(self.pg_config());
        candidates.retain(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file());
        candidates
    }

    fn debian_newest_first(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.debian).into_iter().flatten().flatten();
        let mut majors: Vec<u32> = entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        majors.sort_unstable_by(|a, b| b.cmp(a));
        let bin = |major: u32| self.debian.join(major.to_string()).join("bin");
        majors.into_iter().map(bin).collect()
    }

    fn pg_config(&self) -> Option<PathBuf> {
        let programs = self.path.iter().map(|dir| dir.join("pg_config"));
        let program = programs.into_iter().find(|program| program.is_file())?;
        let output = Command::new(program).arg("--bindir").output().ok()?;
        let answer = String::from_utf8(output.stdout).ok()?;
        Some(PathBuf::from(answer.trim_end()))
    }
}

/// One installation of the server.
#[derive(Clone)]
pub(super) struct Binaries {
    directory: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    /// The first installation found; for a cluster that exists, the first of its major version.
    pub(super) fn find(places: &Places, cluster: &Directory) -> Result<Self, Error> {
        let candidates = places.candidates();
        if candidates.is_empty() {
            let debian = places.debian.join("*/bin");
            return Err(Error::NoBinaries(debian.display().to_string()));
        }
        let wanted = cluster.major()?;
        let mut installed = Vec::new();
        for directory in candidates {
            let major = major(&directory.join("postgres"), cluster)?;
            if wanted.is_none_or(|wanted| wanted == major) {
                return Ok(Self { directory, major });
            }
            installed.push(major);
        }
        installed.dedup();
        let installed: Vec<String> = installed.iter().map(u32::to_string).collect();
        Err(Error::OtherVersion {
            directory: cluster.path.clone(),
            cluster: wanted.expect("without a wanted version the first candidate was taken"),
            installed: installed.join(", "),
        })
    }

    /// One of the server's programs, by its name. A directory of links may lack those that are
    /// seldom used; they lie beside the server itself.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        let program = self.directory.join(name);
        if !program.exists()
            && let Ok(server) = fs::canonicalize(self.directory.join("postgres"))
        {
            return server.with_file_name(name);
        }
        program
    }
}

/// The server's major version. It is asked as the user and in the directory that the server will
/// run with, so that a directory out of that user's reach is found before anything is made.
fn major(postgres: &Path, cluster: &Directory) -> Result<u32, Error> {
    let output = cluster.command(postgres).arg("--version").output();
    let output: Output = output.map_err(|source| match (source.kind(), &cluster.account) {
        (io::ErrorKind::PermissionDenied, Some(account)) => Error::OutOfReach {
            user: account.name.clone(),
            directory: cluster.path.clone(),
            program: postgres.to_owned(),
        },
        _ => tried(format!("cannot run {}", postgres.display()))(source),
    })?;
    let answer = String::from_utf8_lossy(&output.stdout);
    parse_major(&answer).ok_or_else(|| {
        let what = format!("{} --version", postgres.display());
        tried(what)(io::Error::other(format!("no version in {answer:?}")))
    })
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `… 18beta1`, `… 19devel`.
fn parse_major(answer: &str) -> Option<u32> {
    let version = answer.split_whitespace().nth(2)?;
    let digits = version.find(|c: char| !c.is_ascii_digit());
    version[..digits.unwrap_or(version.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version_of_every_kind_of_release() {
        for (answer, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", 15),
            ("postgres (PostgreSQL) 18beta1\n", 18),
            ("postgres (PostgreSQL) 19devel\n", 19),
        ] {
            assert_eq!(parse_major(answer), Some(major), "{answer}");
        }
        assert_eq!(parse_major("no version"), None);
    }

    #[test]
    fn debian_versions_are_ordered_as_numbers() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9", "15", "common", "100"] {
            let bin = root.path().join(name).join("bin");
            fs::create_dir_all(&bin).unwrap();
            fs::write(bin.join("initdb"), "").unwrap();
            fs::write(bin.join("postgres"), "").unwrap();
        }
        let found = Places::new([], root.path()).candidates();
        let expected = ["100", "15", "9"].map(|name| root.path().join(name).join("bin"));
        assert_eq!(found, expected);
    }

    #[test]
    fn pg_config_is_asked_when_path_holds_no_server() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let (path, bin) = (root.path().join("path"), root.path().join("else where"));
        fs::create_dir_all(&path).unwrap();
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("initdb"), "").unwrap();
        fs::write(bin.join("postgres"), "").unwrap();
        let pg_config = path.join("pg_config");
        fs::write(&pg_config, format!("#!/bin/sh\necho '{}'\n", bin.display())).unwrap();
        fs::set_permissions(&pg_config, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Places::new([path], root.path()).candidates(), [bin]);
    }
}
