//! Owns the directory that is served, resolved for one request, and what lies inside of it; must
//! not know requests or responses.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::super::target::is_plain_segment;

/// How many links out of one directory are logged. Whoever makes more has seen the first ones.
const MAX_TOLD: usize = 100;

/// The directory as one request sees it, with all links resolved once.
#[derive(Debug)]
pub(super) struct Root<'a> {
    directory: PathBuf,
    outside: &'a OutsideLinks,
}

impl<'a> Root<'a> {
    /// Resolves the directory. This is done anew for each request, because operators switch
    /// releases by a link.
    pub(super) fn resolve(configured: &Path, outside: &'a OutsideLinks) -> io::Result<Self> {
        let directory = fs::canonicalize(configured)?;
        if fs::metadata(&directory)?.is_dir() {
            Ok(Self { directory, outside })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// A directory that was resolved before, for a request that goes on.
    pub(super) fn resolved(directory: PathBuf, outside: &'a OutsideLinks) -> Self {
        Self { directory, outside }
    }

    /// Where it lies.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A path below the directory with all links resolved, if it is still inside.
    pub(super) fn join(&self, relative: &Path) -> io::Result<PathBuf> {
        self.inside(&self.directory.join(relative))
    }

    /// The path with all links resolved, if it is still inside of the directory.
    pub(super) fn inside(&self, path: &Path) -> io::Result<PathBuf> {
        let resolved = fs::canonicalize(path)?;
        if resolved.starts_with(&self.directory) {
            return Ok(resolved);
        }
        if let Some(link) = self.first_link_out(path) {
            self.outside.found(link);
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// The link itself, not the path below it that was asked for: clients can invent many paths,
    /// but only the operator makes links.
    fn first_link_out(&self, path: &Path) -> Option<PathBuf> {
        let mut at = self.directory.clone();
        for name in path.strip_prefix(&self.directory).ok()? {
            at.push(name);
            if !fs::canonicalize(&at).ok()?.starts_with(&self.directory) {
                return Some(at);
            }
        }
        None
    }
}

/// The symbolic links that were found to lead out of the directory.
#[derive(Debug, Default)]
pub(super) struct OutsideLinks(Mutex<Links>);

#[derive(Debug, Default)]
struct Links {
    known: HashSet<PathBuf>,
    untold: Vec<PathBuf>,
}

impl OutsideLinks {
    fn found(&self, link: PathBuf) {
        let mut links = self.links();
        if links.known.len() < MAX_TOLD && links.known.insert(link.clone()) {
            links.untold.push(link);
        }
    }

    /// Those found since the last time; each comes once.
    pub(super) fn take(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.links().untold)
    }

    fn links(&self) -> std::sync::MutexGuard<'_, Links> {
        // Nothing can panic between two changes that belong together.
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The path below the directory, or `None` where one of its names may not be served.
///
/// Request heads have no dot segments; this holds without relying on them.
pub(super) fn relative_path(sub_path: &str) -> Option<PathBuf> {
    let names = sub_path.strip_prefix('/').unwrap_or(sub_path);
    let names = names.strip_suffix('/').unwrap_or(names);
    if names.is_empty() {
        // "//" has an empty name between its slashes.
        return (sub_path.len() < 2).then(PathBuf::new);
    }
    let is_served = |name: &str| {
        !name.is_empty()
            && is_plain_segment(name)
            && (!name.starts_with('.') || name == ".well-known")
    };
    names
        .split('/')
        .all(is_served)
        .then(|| PathBuf::from(names))
}
