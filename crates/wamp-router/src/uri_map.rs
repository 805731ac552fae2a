//! A map from URIs that never holds anybody up for long: it is made of many small tables, each of
//! which grows by itself. Knows nothing of what the URIs name.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use wamp::Uri;

/// With a million URIs a table has a thousand, which take some ten microseconds to move when it
/// grows. All in one would take half a second.
const TABLES: usize = 1024;

/// What is known of each URI.
pub(super) struct UriMap<V> {
    tables: Box<[HashTable<(Uri, V)>]>,
    /// Keyed, so that nobody can choose URIs that meet in one table.
    hasher: RandomState,
    len: usize,
}

impl<V> Default for UriMap<V> {
    fn default() -> Self {
        Self {
            tables: (0..TABLES).map(|_| HashTable::new()).collect(),
            hasher: RandomState::new(),
            len: 0,
        }
    }
}

impl<V> UriMap<V> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get(&self, uri: &Uri) -> Option<&V> {
        let hash = self.hasher.hash_one(uri);
        let found = self.tables[table(hash)].find(hash, |(known, _)| known == uri);
        found.map(|(_, value)| value)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, uri: &Uri) -> Option<&mut V> {
        let hash = self.hasher.hash_one(uri);
        let found = self.tables[table(hash)].find_mut(hash, |(known, _)| known == uri);
        found.map(|(_, value)| value)
    }

    /// Adds a URI that is not there.
    pub(super) fn insert(&mut self, uri: Uri, value: V) {
        let hash = self.hasher.hash_one(&uri);
        let hasher = |(known, _): &(Uri, V)| self.hasher.hash_one(known);
        self.tables[table(hash)].insert_unique(hash, (uri, value), hasher);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, uri: &Uri) -> Option<V> {
        let hash = self.hasher.hash_one(uri);
        let found = self.tables[table(hash)].find_entry(hash, |(known, _)| known == uri);
        let ((_, value), _) = found.ok()?.remove();
        self.len -= 1;
        Some(value)
    }

    pub(super) fn into_values(self) -> impl Iterator<Item = V> {
        let entries = self.tables.into_iter().flatten();
        entries.map(|(_, value)| value)
    }
}

/// Which table has the URIs with this hash. It goes by bits that the tables themselves use last.
fn table(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}
