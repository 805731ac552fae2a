//! Owns the tables of keys as `docs/config.md` shows them, in Markdown. Knows nothing of the prose
//! around them, nor of what a file says.

use std::{fmt, time::Duration};

use super::{
    keys::{CHOICES, Choice, DefaultValue, Kind, SECTIONS, Section, Times, Usage, Value},
    libpq::{Means, PARAMETERS, Protects},
    words::either,
};

/// Everything that `docs/config.md` shows of the tables: each part with its heading there.
pub fn reference() -> Vec<(&'static str, String)> {
    let sections = SECTIONS
        .iter()
        .map(|section| (section.heading, section.to_string()));
    let choices = CHOICES
        .iter()
        .map(|choice| (choice.heading, choice.to_string()));
    (sections.chain(choices))
        .chain([("Parameters of libpq", parameters())])
        .collect()
}

/// A table of what is served, and a paragraph for each other use of keys.
impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = Vec::new();
        let mut inert: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut not_yet = Vec::new();
        let mut refused = Vec::new();
        for key in self.keys {
            match &key.usage {
                Usage::Served(value) => rows.push(format!("| `{}` | {value} |", key.name)),
                Usage::Inert { note, .. } => match inert.last_mut() {
                    Some((same, names)) if same == note => names.push(key.name),
                    _ => inert.push((note, vec![key.name])),
                },
                Usage::NotYet(_) => not_yet.push(key.name),
                Usage::Instead(mend) => refused.push(format!("`{}` ({mend})", key.name)),
            }
        }
        let mut parts = Vec::new();
        if !rows.is_empty() {
            let head = "| key | type | default | meaning |\n|---|---|---|---|";
            parts.push(format!("{head}\n{}", rows.join("\n")));
        }
        if !inert.is_empty() {
            let inert = inert.iter().map(|(note, names)| match *note {
                "" => listed(names),
                note => format!("{} ({note})", listed(names)),
            });
            let inert: Vec<_> = inert.collect();
            parts.push(format!("Accepted, without effect: {}.", inert.join("; ")));
        }
        if !not_yet.is_empty() {
            parts.push(format!("Not served yet: {}.", listed(&not_yet)));
        }
        if !refused.is_empty() {
            parts.push(format!("Refused: {}.", refused.join("; ")));
        }
        f.write_str(&parts.join("\n\n"))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.served.iter().map(|(word, meaning)| match *meaning {
            "" => format!("`{word}`"),
            meaning => format!("`{word}` ({meaning})"),
        });
        write!(f, "Served: {}.", words.collect::<Vec<_>>().join(", "))?;
        if !self.not_yet.is_empty() {
            write!(f, "\n\nNot served yet: {}.", listed(self.not_yet))?;
        }
        Ok(())
    }
}

/// Type, default and meaning, with bars between them.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = match self.default {
            DefaultValue::Required(_) => "required".to_owned(),
            DefaultValue::Special(text) => text.to_owned(),
            DefaultValue::Boolean(flag) => format!("`{flag}`"),
            DefaultValue::Text(text) => format!("`{text}`"),
            DefaultValue::Number(number) => self.kind.number(number),
        };
        write!(f, "{} | {default} | {}", self.kind, self.meaning)
    }
}

impl Kind {
    /// A number of this kind with what it stands for.
    fn number(&self, number: u64) -> String {
        match self {
            Self::Integer(_, "bytes") if number >= 1 << 20 => {
                format!("{number} ({} MiB)", number >> 20)
            }
            Self::Time(_) if number == 0 => "0, no limit".to_owned(),
            _ => number.to_string(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Special(words) => f.write_str(words),
            Self::Boolean => f.write_str("boolean"),
            Self::Flag => f.write_str("boolean, or 0 or 1"),
            Self::Integer(range, "") => {
                write!(f, "integer, {} to {}", range.start(), range.end())
            }
            Self::Integer(range, unit) => {
                write!(f, "integer, {unit}, {} to {}", range.start(), range.end())
            }
            Self::IntegerOr(range, unit, other) => {
                write!(f, "{}, or {other}", Self::Integer(range.clone(), unit))
            }
            Self::Time(times) => times.fmt(f),
            Self::Word(choice) if choice.heading.is_empty() => {
                f.write_str(&either(&choice.words()))
            }
            Self::Word(choice) => write!(f, "one of the {}", link(choice.heading)),
            Self::Option(kind) => kind.fmt(f),
            Self::Text => f.write_str("string"),
            Self::Uri => f.write_str("URI"),
            Self::Object(section) => write!(f, "object: {}", link(section.heading)),
            Self::Array(of) => write!(f, "array of {of}"),
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zero = if self.zero { ", or 0" } else { "" };
        write!(
            f,
            "time, {} to {}{zero}",
            short(self.least),
            short(self.most)
        )
    }
}

/// "1 ms", "32767 s", "30 d": in the largest unit that divides it.
fn short(time: Duration) -> String {
    let units = [(86_400_000, "d"), (1000, "s"), (1, "ms")];
    let millis = time.as_millis();
    let unit = units.iter().find(|(unit, _)| millis.is_multiple_of(*unit));
    unit.map_or_else(String::new, |(unit, name)| {
        format!("{} {name}", millis / unit)
    })
}

/// A link to a heading of the document.
fn link(heading: &str) -> String {
    let anchor: String = (heading.to_lowercase().chars())
        .filter(|c| c.is_alphanumeric() || *c == ' ')
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    format!("[{}](#{anchor})", as_noun(heading))
}

/// A heading in the middle of a sentence: "TLS modes", "web transport".
fn as_noun(heading: &str) -> String {
    let is_name = |word: &str| word.chars().skip(1).any(char::is_uppercase);
    let words = heading.split(' ').map(|word| {
        if is_name(word) {
            word.to_owned()
        } else {
            word.to_lowercase()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn listed(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// The rows of libpq's parameters.
fn parameters() -> String {
    let code = |text: &str| match text {
        "" => String::new(),
        text => format!("`{text}`"),
    };
    let rows = PARAMETERS.iter().map(|parameter| {
        let here = match parameter.means {
            Means::Key(key) => format!("fills in `{key}`"),
            Means::NoEffect(why) => format!("no effect: {why}"),
            Means::NoEffectIf(values, why) => {
                format!("no effect if {}, else refused: {why}", listed(values))
            }
            Means::Refused(Protects::Tls, why) => format!("refused where there is TLS: {why}"),
            Means::Refused(Protects::UnixSocket, why) => {
                format!("refused on a Unix socket: {why}")
            }
            Means::Session(setting) => format!("sets `{setting}` in each session"),
        };
        let (name, variable) = (code(parameter.name), code(parameter.variable));
        format!("| {name} | {variable} | {here} |")
    });
    let head = "| parameter | variable | here |\n|---|---|---|\n";
    head.to_owned() + &rows.collect::<Vec<_>>().join("\n")
}
