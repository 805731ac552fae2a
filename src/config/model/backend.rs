//! Owns the backends there are, and which of them this program has. Must not know how they work.

use std::{fmt, str::FromStr};

/// Who speaks with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Worker threads that wait for PostgreSQL.
    Adbapi,
    /// The I/O threads.
    Txpostgres,
}

impl Backend {
    /// All of them, the usual one first.
    pub const ALL: [Self; 2] = [Self::Adbapi, Self::Txpostgres];

    /// What configurations call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adbapi => "adbapi",
            Self::Txpostgres => "txpostgres",
        }
    }

    /// Whether this program was built with it.
    pub fn is_built_in(self) -> bool {
        match self {
            Self::Adbapi => cfg!(feature = "adbapi"),
            Self::Txpostgres => cfg!(feature = "txpostgres"),
        }
    }
}

impl Default for Backend {
    /// The first one that this program has.
    fn default() -> Self {
        let built_in = Self::ALL.into_iter().find(|backend| backend.is_built_in());
        built_in.expect("nothing is built without a backend")
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = String;

    /// The backend of this name. The error says what it must be, or how to get it.
    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|backend| backend.name() == name);
        let backend = found.ok_or("must be `adbapi` or `txpostgres`")?;
        if backend.is_built_in() {
            Ok(backend)
        } else {
            Err(format!(
                "must be `{}` here: this program was built without {backend}, which `cargo build \
                 --release` without `--no-default-features` builds in",
                Self::default()
            ))
        }
    }
}
