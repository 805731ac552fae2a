//! Owns which files a directory of procedures has, and the URI of each. Must not know what is in them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::text::{Fault, Place};

/// Directories inside each other, deeper than anybody means it: a link that leads back.
const DEEPEST: usize = 32;

/// A file of SQL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    /// What it is called in faults.
    pub(super) label: Arc<str>,
    /// Its name without `.sql`, its directories before it: `goods.cheap` of `goods/cheap.sql`.
    pub(super) name: String,
    pub(super) text: String,
}

/// All files with the ending `.sql`, in the order of their names. Those whose name begins with a dot
/// are passed over, as are the directories of such a name.
///
/// # Blocking
/// Reads them.
pub(super) fn read(directory: &Path) -> (Vec<File>, Vec<Fault>) {
    let mut found = Found::default();
    let label = PathBuf::from(directory.file_name().unwrap_or(directory.as_os_str()));
    found.read(directory, &label, "", 0);
    (found.files, found.faults)
}

#[derive(Default)]
struct Found {
    files: Vec<File>,
    faults: Vec<Fault>,
}

impl Found {
    fn read(&mut self, directory: &Path, label: &Path, prefix: &str, depth: usize) {
        let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) if depth < DEEPEST => entries,
            Ok(_) => return self.fault(label, "is too deep: is it a link that leads back?"),
            Err(error) => return self.fault(label, &format!("cannot be read: {error}")),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            let label = label.join(&name);
            let Some(name) = name.to_str() else {
                self.fault(&label, "has a name that is not UTF-8");
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            // As its link leads, if it is one.
            match (fs::metadata(&path), name.strip_suffix(".sql")) {
                (Ok(of), _) if of.is_dir() => {
                    self.read(&path, &label, &format!("{prefix}{name}."), depth + 1);
                }
                (_, None) => {}
                (Ok(_), Some(stem)) => match fs::read_to_string(&path) {
                    Ok(text) => self.files.push(File {
                        label: label.to_string_lossy().into(),
                        name: format!("{prefix}{stem}"),
                        text,
                    }),
                    Err(error) => self.fault(&label, &format!("cannot be read: {error}")),
                },
                (Err(error), Some(_)) => self.fault(&label, &format!("cannot be read: {error}")),
            }
        }
    }

    fn fault(&mut self, label: &Path, why: &str) {
        let place = Place::of(&label.to_string_lossy().into());
        self.faults.push(Fault::new(place, why));
    }
}
