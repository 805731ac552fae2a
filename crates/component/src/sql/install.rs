//! Owns what `sql-install` puts into a database, and how that is taken out again: scripts of plain SQL,
//! which psql can run as well. Must not know which databases they are for.

#[cfg(test)]
mod tests;

use sql::{Job, Statement};

use super::{super::Pool, text};

/// The version of what is installed; one more whenever a released part changes.
pub(super) const VERSION: u32 = 1;

/// A part of the schema `wampgres`.
struct Part {
    /// Makes it, or changes what an older version has made. May be run again.
    install: &'static str,
    /// Drops it, and nothing that others have made of it.
    remove: &'static str,
    /// Whether it is installed only where that is asked for.
    is_extra: bool,
}

/// All parts, in the order in which they are installed.
const PARTS: [Part; 5] = [
    Part {
        install: include_str!("install/schema.sql"),
        remove: include_str!("install/schema.remove.sql"),
        is_extra: false,
    },
    Part {
        install: include_str!("install/identity.sql"),
        remove: include_str!("install/identity.remove.sql"),
        is_extra: false,
    },
    Part {
        install: include_str!("install/outbox.sql"),
        remove: include_str!("install/outbox.remove.sql"),
        is_extra: false,
    },
    Part {
        install: include_str!("install/watch_ddl.sql"),
        remove: include_str!("install/watch_ddl.remove.sql"),
        is_extra: true,
    },
    // The last one: others ask which version was there before.
    Part {
        install: include_str!("install/version.sql"),
        remove: "",
        is_extra: false,
    },
];

/// What can be done with the schema `wampgres` of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installation {
    /// It is installed, or brought to this version.
    Install {
        /// Also the event triggers by which DDL has procedures reloaded. What is there of them stays
        /// without it too.
        watch_ddl: bool,
    },
    /// It is removed, with all events that are kept.
    Remove,
}

impl Installation {
    /// Its script: one transaction.
    pub fn script(self) -> String {
        let mut script = String::from("BEGIN;\n\n");
        for part in self.parts() {
            script.push_str(part.trim_end());
            script.push_str("\n\n");
        }
        script.push_str("COMMIT;\n");
        script
    }

    /// Runs it, also as one transaction.
    ///
    /// # Errors
    /// What PostgreSQL says; nothing has changed then.
    ///
    /// # Blocking
    /// Until it has run. Must not be called on a thread of the pool's.
    pub fn run(self, pool: &Pool) -> Result<(), sql::Error> {
        let parts = self.parts().join("\n");
        let mut statements = text::statements(&parts)
            .into_iter()
            .map(|statement| Statement::new(statement.to_owned(), ()).count());
        let first = statements.next().expect("each script has a statement");
        let job = statements.fold(Job::new(first), Job::then);
        pool.submit(job).wait().map(drop)
    }

    fn parts(self) -> Vec<String> {
        let version = VERSION.to_string();
        let parts: Vec<_> = match self {
            Self::Install { watch_ddl } => (PARTS.iter())
                .filter(|part| watch_ddl || !part.is_extra)
                .map(|part| part.install)
                .collect(),
            Self::Remove => PARTS.iter().rev().map(|part| part.remove).collect(),
        };
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts
            .map(|part| part.replace("@version@", &version))
            .collect()
    }
}
