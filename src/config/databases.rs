//! Owns the databases of the whole node: those that have a name, and those of one component alone.
//! Must not know where a database is nor how it is read.

use std::collections::BTreeMap;

use super::{
    context::Context,
    database,
    json::Json,
    model::Database,
    object::Object,
    reader::Cursor,
    words::{did_you_mean, listed},
};

/// What a component's `extra.database` has to be.
const MUST_BE: &str = "must be an object, or the name of one of the node's `databases`";

/// The databases of a node while its components are read.
pub(super) struct Databases<'a> {
    named: Vec<Named<'a>>,
    /// Those that a component uses.
    used: Vec<Database>,
}

/// An entry of `databases`.
struct Named<'a> {
    name: &'a str,
    at: Cursor<'a>,
    usage: Usage,
}

/// What becomes of a named database.
enum Usage {
    /// It has a fault.
    Faulty,
    /// No component has named it yet.
    Unused(Box<Database>),
    /// It stands at this index of `used`.
    Used(usize),
}

impl<'a> Databases<'a> {
    /// Checks the `databases` of a node.
    pub(super) fn read(top: &Object<'a>, context: &Context<'_>) -> Self {
        let member = top.member("databases");
        if let Some(member) = &member
            && !matches!(member.value(), Json::Object(_))
        {
            member.fault("must be an object with a database for each name");
        }
        let members = member.iter().flat_map(Cursor::members);
        let named = members.map(|(name, at)| Named::read(name, at, context));
        Self {
            named: named.collect(),
            used: Vec::new(),
        }
    }

    /// The database of a component that is written as its `extra.database`: a name, or a database
    /// of its own. The answer is an index into what [`into_used`](Self::into_used) gives; there is
    /// none where there is a fault.
    pub(super) fn written(&mut self, item: &Cursor<'_>, context: &Context<'_>) -> Option<usize> {
        match item.value() {
            Json::String(name) => self.named(name, item),
            Json::Object(_) => self.add(database::written(item, context)?),
            _ => {
                item.fault(MUST_BE);
                None
            }
        }
    }

    /// The database of a component that has one but does not say which.
    pub(super) fn unwritten(
        &mut self,
        component: &Cursor<'_>,
        context: &Context<'_>,
    ) -> Option<usize> {
        self.add(database::from_environment(component, context)?)
    }

    fn add(&mut self, database: Database) -> Option<usize> {
        self.used.push(database);
        Some(self.used.len() - 1)
    }

    fn named(&mut self, name: &str, item: &Cursor<'_>) -> Option<usize> {
        // The last of a repeated name, whose repetition is a fault of its own.
        let found = self.named.iter_mut().rfind(|named| named.name == name);
        let Some(found) = found else {
            let names: Vec<_> = self.named.iter().map(|named| named.name).collect();
            item.fault(format!(
                "{MUST_BE}, which has: {}{}",
                listed(&names),
                did_you_mean(name, &names)
            ));
            return None;
        };
        found.index(&mut self.used)
    }

    /// All databases that have a name and no fault, for a component of which it is not known here which
    /// of them it uses.
    pub(super) fn all_named(&mut self) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        for named in &mut self.named {
            if let Some(index) = named.index(&mut self.used) {
                all.insert(named.name.to_owned(), index);
            }
        }
        all
    }

    /// All databases that components use. Each of the others gets a note.
    pub(super) fn into_used(self) -> Vec<Database> {
        for named in &self.named {
            if matches!(named.usage, Usage::Unused(_)) {
                named.at.note(format!(
                    "is used by no component, so nothing connects to it: write \"database\": \"{}\" \
                     into the `extra` of those that should use it",
                    named.name
                ));
            }
        }
        self.used
    }
}

impl<'a> Named<'a> {
    /// Its index among those that are used, of which it is one from now on.
    fn index(&mut self, used: &mut Vec<Database>) -> Option<usize> {
        let (usage, index) = match std::mem::replace(&mut self.usage, Usage::Faulty) {
            Usage::Unused(database) => {
                used.push(*database);
                (Usage::Used(used.len() - 1), Some(used.len() - 1))
            }
            Usage::Used(index) => (Usage::Used(index), Some(index)),
            Usage::Faulty => (Usage::Faulty, None),
        };
        self.usage = usage;
        index
    }

    fn read(name: &'a str, at: Cursor<'a>, context: &Context<'_>) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(plain) {
            at.fault_unseen("the name of a database must be of letters, digits, `_` and `-`");
        }
        let usage = match database::written(&at, context) {
            Some(database) => Usage::Unused(Box::new(Database {
                name: Some(name.to_owned()),
                ..database
            })),
            None => Usage::Faulty,
        };
        Self { name, at, usage }
    }
}
