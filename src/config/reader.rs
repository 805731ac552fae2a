//! Owns walking a JSON tree while collecting every fault with its path. Knows types of values, not
//! which keys there are nor what any of them means.

use std::{cell::RefCell, collections::HashSet, ops::RangeInclusive};

use super::{
    fault::{Fault, Note},
    json::Json,
    keys::Choice,
    words::{HIDDEN, did_you_mean, either, is_secret, join, quoted},
};

/// What is said of a key or a word that is not served yet.
pub(super) const NOT_YET: &str = "known to Crossbar.io, not served by wampgres yet";

/// Faults and notes found so far, each with its place in the document, by which they are sorted at
/// the end.
#[derive(Default)]
pub(super) struct Report {
    faults: RefCell<Vec<(Vec<usize>, Fault)>>,
    notes: RefCell<Vec<(Vec<usize>, Note)>>,
}

impl Report {
    /// How many faults there are. If the number is the same before and after a check, the check
    /// found none.
    pub(super) fn faults(&self) -> usize {
        self.faults.borrow().len()
    }

    /// All faults and all notes, each in the order of the document.
    pub(super) fn into_parts(self) -> (Vec<Fault>, Vec<Note>) {
        (
            in_order(self.faults.into_inner()),
            in_order(self.notes.into_inner()),
        )
    }
}

fn in_order<T>(mut placed: Vec<(Vec<usize>, T)>) -> Vec<T> {
    placed.sort_by(|(a, _), (b, _)| a.cmp(b));
    placed.into_iter().map(|(_, item)| item).collect()
}

/// A value in the document, and where it stands.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    value: &'a Json,
    path: String,
    /// The ordinals of the ancestors and of the value itself among their siblings.
    order: Vec<usize>,
    secret: bool,
    report: &'a Report,
}

impl<'a> Cursor<'a> {
    pub(super) fn root(value: &'a Json, report: &'a Report) -> Self {
        Cursor {
            value,
            path: "$".to_owned(),
            order: Vec::new(),
            secret: false,
            report,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn value(&self) -> &'a Json {
        self.value
    }

    pub(super) fn report(&self) -> &'a Report {
        self.report
    }

    /// The value is not as it should be.
    pub(super) fn fault(&self, problem: impl Into<String>) {
        self.push(self.path.clone(), Some(self.seen()), problem.into());
    }

    /// Something other than the value is wrong here: a repetition, an absence, the environment.
    pub(super) fn fault_unseen(&self, problem: impl Into<String>) {
        self.push(self.path.clone(), None, problem.into());
    }

    /// Something is wrong with, or missing from, the key `key` of this object.
    pub(super) fn fault_at(&self, key: &str, problem: impl Into<String>) {
        self.push(join(&self.path, key), None, problem.into());
    }

    fn push(&self, path: String, seen: Option<String>, problem: String) {
        let fault = Fault {
            path,
            seen,
            problem,
        };
        self.report
            .faults
            .borrow_mut()
            .push((self.order.clone(), fault));
    }

    pub(super) fn note(&self, text: impl Into<String>) {
        let note = Note {
            path: self.path.clone(),
            text: text.into(),
        };
        self.report
            .notes
            .borrow_mut()
            .push((self.order.clone(), note));
    }

    /// The value as a fault may show it: never a password, never the inside of an object or an
    /// array.
    pub(super) fn seen(&self) -> String {
        if self.secret {
            return HIDDEN.to_owned();
        }
        match self.value {
            Json::Null => "null".to_owned(),
            Json::Bool(value) => value.to_string(),
            Json::Number(value) => value.to_string(),
            Json::String(value) => quoted(value),
            Json::Array(items) if items.is_empty() => "[]".to_owned(),
            Json::Array(_) => "an array".to_owned(),
            Json::Object(entries) if entries.is_empty() => "{}".to_owned(),
            Json::Object(_) => "an object".to_owned(),
        }
    }

    /// The object's members in the order of the document; none when the value is no object.
    pub(super) fn members(&self) -> Vec<(&'a str, Self)> {
        match self.value {
            Json::Object(entries) => (entries.iter().enumerate())
                .map(|(at, (key, value))| (key.as_str(), self.member(at, key, value)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The same place with an object in which nothing is written.
    pub(super) fn emptied(&self) -> Self {
        static NOTHING: Json = Json::Object(Vec::new());
        Cursor {
            value: &NOTHING,
            ..self.clone()
        }
    }

    fn member(&self, at: usize, key: &str, value: &'a Json) -> Self {
        Cursor {
            value,
            path: join(&self.path, key),
            order: self.below(at),
            // Everything below a secret is a secret, too.
            secret: self.secret || is_secret(key),
            report: self.report,
        }
    }

    fn below(&self, at: usize) -> Vec<usize> {
        let mut order = self.order.clone();
        order.push(at);
        order
    }

    /// The member `wanted`, if it is written.
    pub(super) fn find(&self, wanted: &str) -> Option<Self> {
        // The last of a repeated key, as other parsers take it. The repetition is a fault of its
        // own.
        self.members()
            .into_iter()
            .rev()
            .find(|(key, _)| *key == wanted)
            .map(|(_, cursor)| cursor)
    }

    /// Reports every key that is written twice in one object, here and below.
    pub(super) fn repeated_keys(&self) {
        let mut earlier = HashSet::new();
        for (key, cursor) in self.members() {
            if !earlier.insert(key) {
                cursor.fault_unseen("the key is written twice in this object; keep one");
            }
            cursor.repeated_keys();
        }
        for item in self.items() {
            item.repeated_keys();
        }
    }

    fn items(&self) -> Vec<Self> {
        match self.value {
            Json::Array(items) => (items.iter().enumerate())
                .map(|(at, value)| Cursor {
                    value,
                    path: format!("{}[{at}]", self.path),
                    order: self.below(at),
                    secret: self.secret,
                    report: self.report,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The object's `type`, if it is served. It decides which keys the object may have.
    pub(super) fn kind(&self, choice: &'static Choice) -> Option<&'static str> {
        if !matches!(self.value, Json::Object(_)) {
            self.fault("must be an object");
            return None;
        }
        match self.find("type") {
            Some(kind) => kind.one_of(choice),
            None => {
                self.fault_at(
                    "type",
                    format!("missing; must be {}", either(&choice.words())),
                );
                None
            }
        }
    }

    pub(super) fn array(&self) -> Option<Vec<Self>> {
        if matches!(self.value, Json::Array(_)) {
            return Some(self.items());
        }
        self.fault("must be an array");
        None
    }

    pub(super) fn string(&self) -> Option<&'a str> {
        if let Json::String(value) = self.value {
            return Some(value);
        }
        self.fault("must be a string");
        None
    }

    /// A string that is not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        let value = self.string()?;
        if value.is_empty() {
            self.fault("must not be empty");
            return None;
        }
        Some(value)
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        if let Json::Bool(value) = self.value {
            return Some(*value);
        }
        self.fault("must be true or false");
        None
    }

    pub(super) fn integer_in<T: TryFrom<u64>>(&self, range: &RangeInclusive<u64>) -> Option<T> {
        if let Json::Number(number) = self.value
            && let Some(value) = number.as_u64().filter(|value| range.contains(value))
            && let Ok(value) = T::try_from(value)
        {
            return Some(value);
        }
        self.fault(format!(
            "must be an integer from {} to {}",
            range.start(),
            range.end()
        ));
        None
    }

    pub(super) fn one_of(&self, choice: &'static Choice) -> Option<&'static str> {
        let value = self.string()?;
        let words = choice.words();
        if let Some(served) = words.iter().find(|served| **served == value) {
            return Some(served);
        }
        if choice.not_yet.contains(&value) {
            self.fault(format!("{NOT_YET}; must be {}", either(&words)));
        } else {
            let meant = did_you_mean(value, &words);
            self.fault(format!("must be {}{meant}", either(&words)));
        }
        None
    }

    /// A whole URI, by the loose rules (WAMP, section "URIs"): no blanks, no `#`, no empty
    /// component.
    pub(super) fn uri(&self) -> Option<&'a str> {
        let uri = self.text()?;
        if !is_loose_uri(uri) || uri.split('.').any(str::is_empty) {
            self.fault("must be a URI: no blanks, no `#`, no empty part between its dots");
            return None;
        }
        Some(uri)
    }
}

/// Whether a text has none of the characters that no URI may have.
pub(super) fn is_loose_uri(uri: &str) -> bool {
    !uri.contains(|c: char| c.is_whitespace() || c == '#')
}
