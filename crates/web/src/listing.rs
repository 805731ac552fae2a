//! Owns the page that lists a directory, made in slices; must not know where the directory lies.

use std::{
    collections::BTreeSet,
    fs::{self, DirEntry, Metadata, ReadDir},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{
    limits::{KEPT_LISTINGS, LISTED_AT_ONCE, MAX_KEPT_LISTING, MAX_LISTED},
    pages::{escaped, page},
    target::{encode_path, is_plain_segment},
};

/// To resolve a link takes as long as to look at so many entries.
const LINK_COSTS: usize = 16;

/// A directory that changed this short a time before it was read may have changed again after it,
/// within the same tick of the file system's clock.
const SETTLED: Duration = Duration::from_secs(1);

/// What the listings of one served directory share.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// The page made last is the last one.
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    key: Key,
    page: Arc<[u8]>,
}

/// What a page depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    directory: PathBuf,
    /// What clients know the directory as.
    path: String,
    state: State,
}

/// Which directory it is, and when it was changed last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State([i64; 6]);

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self([
            metadata.dev().cast_signed(),
            metadata.ino().cast_signed(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ])
    }
}

impl Listings {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &Key) -> Option<Arc<[u8]>> {
        let kept = self.kept();
        kept.iter()
            .find(|kept| kept.key == *key)
            .map(|kept| kept.page.clone())
    }

    fn keep(&self, key: Key, page: Arc<[u8]>) {
        let mut kept = self.kept();
        kept.retain(|kept| (&kept.key.directory, &kept.key.path) != (&key.directory, &key.path));
        if kept.len() == KEPT_LISTINGS {
            kept.remove(0);
        }
        kept.push(Kept { key, page });
    }
}

/// The page for a directory, under way.
///
/// It leaves out what cannot be fetched by its name: dotfiles, names that are not UTF-8 or have
/// characters that no URL path may have, special files, and links that lead nowhere or to what
/// may not be served.
#[derive(Debug)]
pub(super) struct Page {
    listings: Arc<Listings>,
    key: Key,
    step: Step,
    names: BTreeSet<String>,
    /// The list, as far as it is written.
    content: String,
    has_more: bool,
    /// Whether the directory's own state tells all changes of the page.
    may_be_kept: bool,
}

#[derive(Debug)]
enum Step {
    Begin,
    Read(ReadDir),
    Write,
}

impl Page {
    /// The page for the directory at `directory`, which clients know as `path`.
    ///
    /// # Errors
    /// The directory cannot be looked at.
    pub(super) fn new(listings: Arc<Listings>, directory: PathBuf, path: &str) -> io::Result<Self> {
        let metadata = fs::metadata(&directory)?;
        let changed = metadata.modified()?;
        let is_settled = SystemTime::now()
            .duration_since(changed)
            .is_ok_and(|age| age >= SETTLED);
        let state = State::of(&metadata);
        Ok(Self {
            listings,
            key: Key {
                directory,
                path: path.to_owned(),
                state,
            },
            step: Step::Begin,
            names: BTreeSet::new(),
            content: String::new(),
            has_more: false,
            may_be_kept: is_settled,
        })
    }

    /// Makes the next slice. The page, once it is whole. `resolve` resolves a link, or refuses it.
    ///
    /// # Errors
    /// The directory cannot be read.
    ///
    /// # Blocking
    /// Reads a part of the directory, and the kind of each entry.
    pub(super) fn advance(
        &mut self,
        resolve: impl Fn(&Path) -> io::Result<PathBuf>,
    ) -> io::Result<Option<Arc<[u8]>>> {
        if matches!(self.step, Step::Begin) {
            // Another request may have brought it meanwhile.
            if let Some(page) = self.listings.find(&self.key) {
                return Ok(Some(page));
            }
            self.step = Step::Read(fs::read_dir(&self.key.directory)?);
        }
        if let Step::Read(_) = self.step {
            self.read(resolve)?;
            return Ok(None);
        }
        for _ in 0..LISTED_AT_ONCE {
            let Some(name) = self.names.pop_first() else {
                return self.finish().map(Some);
            };
            // "./" keeps a name like "a:b" from being read as a scheme.
            let href = encode_path(&name);
            let line = format!("<li><a href=\".{href}\">{}</a></li>\n", escaped(&name));
            self.content.push_str(&line);
        }
        Ok(None)
    }

    fn read(&mut self, resolve: impl Fn(&Path) -> io::Result<PathBuf>) -> io::Result<()> {
        let Step::Read(entries) = &mut self.step else {
            return Ok(());
        };
        let mut done = 0;
        while done < LISTED_AT_ONCE {
            done += 1;
            let Some(entry) = entries.next() else {
                self.step = Step::Write;
                return Ok(());
            };
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().and_then(listed_name) else {
                continue;
            };
            if self.names.len() == MAX_LISTED {
                self.has_more = true;
                self.step = Step::Write;
                return Ok(());
            }
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if is_link {
                done += LINK_COSTS;
                // What it leads to may change without a trace here.
                self.may_be_kept = false;
            }
            // One that is deleted meanwhile is not listed.
            match metadata(&entry, is_link, &resolve) {
                Ok(metadata) if metadata.is_dir() => self.names.insert(format!("{name}/")),
                Ok(metadata) if metadata.is_file() => self.names.insert(name),
                _ => continue,
            };
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Arc<[u8]>> {
        let mut content = String::from("<ul>\n");
        if !self.key.path.trim_matches('/').is_empty() {
            content.push_str("<li><a href=\"../\">../</a></li>\n");
        }
        content.push_str(&self.content);
        content.push_str("</ul>");
        if self.has_more {
            content.push_str("\n<p>There is more than the 10,000 entries that are shown here.</p>");
        }
        let page: Arc<[u8]> = page(&self.key.path, &content).into_bytes().into();
        let is_unchanged =
            || Ok::<_, io::Error>(State::of(&fs::metadata(&self.key.directory)?) == self.key.state);
        if self.may_be_kept && page.len() <= MAX_KEPT_LISTING && is_unchanged()? {
            self.listings.keep(self.key.clone(), page.clone());
        }
        Ok(page)
    }
}

fn metadata(
    entry: &DirEntry,
    is_link: bool,
    resolve: impl Fn(&Path) -> io::Result<PathBuf>,
) -> io::Result<Metadata> {
    if is_link {
        resolve(&entry.path()).and_then(fs::metadata)
    } else {
        entry.metadata()
    }
}

fn listed_name(name: &str) -> Option<String> {
    (!name.starts_with('.') && is_plain_segment(name)).then(|| name.to_owned())
}
