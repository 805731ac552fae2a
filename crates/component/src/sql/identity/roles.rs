//! Owns the table that gives each authrole its role of the database. Must not know what PostgreSQL says
//! of them.

use std::sync::Arc;

use serde_json::Value;

use super::super::text::{Fault, Place};

/// The row of all that have none of their own.
const OTHERS: &str = "*";

/// The table as it is configured.
#[derive(Debug, Default)]
pub(in crate::sql) struct RoleTable {
    /// In the order of the authroles.
    entries: Vec<Entry>,
}

/// A row of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    authrole: String,
    /// The role of the database; `None` for the one that the node logs in as.
    pub(super) role: Option<String>,
}

impl RoleTable {
    /// That of a component, if it has one. What is wrong with it [`read`](Self::read) tells.
    pub(in crate::sql) fn of(extra: &Value) -> Option<Arc<Self>> {
        let table = Self::read(extra.get("roles")?).ok()?;
        Some(Arc::new(table))
    }

    /// Reads it from the configuration.
    pub(in crate::sql) fn read(written: &Value) -> Result<Self, Vec<Fault>> {
        let place = Place::of(&"extra.roles".into());
        let Some(written) = written.as_object().filter(|written| !written.is_empty()) else {
            let why = "must be an object: to each authrole a role of the database, or null for the \
                       one that the node logs in as; `*` is for all others";
            return Err(vec![Fault::new(place, why)]);
        };
        let (mut this, mut faults) = (Self::default(), Vec::new());
        for (authrole, role) in written {
            let place = Place::of(&format!("extra.roles[{authrole:?}]").into());
            let role = match role {
                Value::Null => None,
                Value::String(role) if is_role(role) => Some(role.clone()),
                _ => {
                    let why = "must be the name of a role of the database, or null for the one that \
                               the node logs in as";
                    faults.push(Fault::new(place, why));
                    continue;
                }
            };
            let authrole = authrole.clone();
            this.entries.push(Entry {
                place,
                authrole,
                role,
            });
        }
        if faults.is_empty() {
            Ok(this)
        } else {
            Err(faults)
        }
    }

    /// The row of an authrole.
    pub(super) fn find(&self, authrole: Option<&str>) -> Option<&Entry> {
        let of = |wanted: &str| self.entries.iter().find(|entry| entry.authrole == wanted);
        authrole.and_then(of).or_else(|| of(OTHERS))
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// `none` is no role for SET ROLE, but the end of one.
fn is_role(name: &str) -> bool {
    !matches!(name, "" | "none") && !name.contains('\0')
}
