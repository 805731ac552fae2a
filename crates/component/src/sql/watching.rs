//! Owns how a node that is started with `--watch` sees that files or the catalogue have become others.
//! Must not know what is done then.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use sql::{Database, Rows, Statement};

use super::{super::ReloadHandle, files};

/// One text for what users have in the catalogue: who has written each row of it last.
const CATALOGUE: &str = include_str!("watching/catalogue.sql");

/// What is watched.
pub(super) struct Watching {
    directory: Option<PathBuf>,
    db: Arc<dyn Database>,
    reload: ReloadHandle,
    /// What the files were when they were looked at last.
    files: Mutex<Option<u64>>,
    catalogue: Arc<Catalogue>,
}

#[derive(Default)]
struct Catalogue {
    /// What PostgreSQL has said of it last.
    last: Mutex<Option<String>>,
    is_asked: AtomicBool,
}

impl Watching {
    pub(super) fn new(extra: &Value, db: Arc<dyn Database>, reload: ReloadHandle) -> Self {
        Self {
            directory: extra["directory"].as_str().map(PathBuf::from),
            db,
            reload,
            files: Mutex::default(),
            catalogue: Arc::default(),
        }
    }

    /// Looks at both, and asks for a reload if one has become another. At the first look it is not known
    /// what they were at the start, so it asks too.
    ///
    /// # Blocking
    /// Reads files. Does not wait for PostgreSQL.
    pub(super) fn look(&self) {
        let now = self.directory.as_deref().map(fingerprint);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if *files != now {
            *files = now;
            self.reload.request();
        }
        drop(files);
        self.look_at_catalogue();
    }

    fn look_at_catalogue(&self) {
        if self.catalogue.is_asked.swap(true, Ordering::Relaxed) {
            return;
        }
        let (catalogue, reload) = (self.catalogue.clone(), self.reload.clone());
        let asked = self.db.submit(Statement::new(CATALOGUE, ()).into());
        asked.on_result(move |result| {
            catalogue.is_asked.store(false, Ordering::Relaxed);
            match result {
                Ok(results) => {
                    if catalogue.is_another(&results.first) {
                        reload.request();
                    }
                }
                Err(error) => {
                    tracing::debug!(target: crate::LOG, %error, "the catalogue cannot be looked at now");
                }
            }
        });
    }
}

impl Catalogue {
    fn is_another(&self, rows: &Rows) -> bool {
        let now = rows.row(0).and_then(|row| row.get::<String>(0).ok());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_another = *last != now;
        *last = now;
        is_another
    }
}

fn fingerprint(directory: &Path) -> u64 {
    let (files, faults) = files::read(directory);
    let mut hasher = DefaultHasher::new();
    for file in files {
        (&*file.label, file.text).hash(&mut hasher);
    }
    for fault in faults {
        fault.to_string().hash(&mut hasher);
    }
    hasher.finish()
}
