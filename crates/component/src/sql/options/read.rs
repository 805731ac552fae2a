//! Owns how the value of an option is read, out of a comment and out of the configuration alike. Must
//! not know what it does.

use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use serde_json::Value;
use sql::Isolation;

use super::{
    super::text::{Place, literal},
    FunctionOption, OptionKind, OptionRow, Options, ParamOption, Returns, Written,
};

/// What an option is set to.
pub(in crate::sql) enum Setting {
    Flag(bool),
    Time(Duration),
    Count(u64),
    Text(String),
    Texts(Vec<String>),
    Params(Vec<ParamOption>),
}

impl Options {
    /// Sets an option. The error says what is wrong with it.
    pub(super) fn set(
        &mut self,
        row: &OptionRow,
        place: &Place,
        written: Written<'_>,
    ) -> Result<(), String> {
        match (row.name, row.kind.read(place, written)?) {
            ("timeout", Setting::Time(time)) => self.timeout = Some(time),
            ("slow_call", Setting::Time(time)) => self.slow_call = Some(time),
            ("read_only", Setting::Flag(flag)) => self.read_only = Some(flag),
            ("dry_run", Setting::Flag(flag)) => self.dry_run = Some(flag),
            ("secret", Setting::Flag(flag)) => self.secret = Some(flag),
            ("single", Setting::Flag(flag)) => self.single = Some(flag),
            ("skip", Setting::Flag(flag)) => self.skip = Some(flag),
            ("identity", Setting::Flag(flag)) => self.identity = Some(flag),
            ("before", Setting::Text(name)) => self.before = Some(function(place, &name)?),
            ("retry", Setting::Count(count)) => self.retry = Some(count),
            ("concurrency", Setting::Count(count)) => self.concurrency = NonZeroU64::new(count),
            ("max_rows", Setting::Count(count)) => self.max_rows = Some(count),
            ("max_bytes", Setting::Count(count)) => self.max_bytes = Some(count),
            ("max_affected", Setting::Count(count)) => self.max_affected = Some(count),
            ("batch", Setting::Count(count)) => {
                self.batch = u32::try_from(count).ok().and_then(NonZeroU32::new);
            }
            ("int8", Setting::Text(word)) => self.int8 = Some(word),
            ("numeric", Setting::Text(word)) => self.numeric = Some(word),
            ("database", Setting::Text(name)) => self.database = Some((place.clone(), name)),
            ("sql", Setting::Text(text)) => self.sql = Some(text),
            ("description", Setting::Text(text)) => self.description = Some(text),
            ("result", Setting::Text(name)) => self.result = Some(name),
            ("returns", Setting::Text(word)) => self.returns = Some(Returns::of(&word)),
            ("isolation", Setting::Text(word)) => self.isolation = Some(isolation(&word)),
            ("params", Setting::Params(params)) => self.params.extend(params),
            _ => return Err("is not served yet".to_owned()),
        }
        Ok(())
    }
}

impl OptionKind {
    /// Reads what is written for an option. The error says what is wrong with it.
    pub(in crate::sql) fn read(
        &self,
        place: &Place,
        written: Written<'_>,
    ) -> Result<Setting, String> {
        match self {
            Self::Flag => flag(written).map(Setting::Flag),
            Self::Time => time(written).map(Setting::Time),
            Self::Count(from, to) => {
                let count = match written {
                    Written::Text(text) => text.parse().ok(),
                    Written::Json(value) => value.as_u64(),
                };
                let count = count.filter(|count| (from..=to).contains(&count));
                let count = count.ok_or_else(|| format!("must be an integer from {from} to {to}"));
                count.map(Setting::Count)
            }
            Self::Word(words) => {
                let word = text(written).unwrap_or_default();
                if !words.contains(&word) {
                    let meant = super::did_you_mean(word, words);
                    return Err(format!("must be one of {}{meant}", words.join(", ")));
                }
                Ok(Setting::Text(word.to_owned()))
            }
            Self::Text => match text(written).filter(|text| !text.is_empty()) {
                Some(text) => Ok(Setting::Text(text.to_owned())),
                None => Err("must be a text".to_owned()),
            },
            Self::Texts => texts(written).map(Setting::Texts),
            Self::Params => match written {
                Written::Text(line) => param(place, line).map(|param| vec![param]),
                Written::Json(params) => params_of(place, params),
            }
            .map(Setting::Params),
        }
    }
}

impl Returns {
    fn of(word: &str) -> Self {
        match word {
            "rows" => Self::Rows,
            "arrays" => Self::Arrays,
            "row" => Self::Row,
            "value" => Self::Value,
            "values" => Self::Values,
            "count" => Self::Count,
            "stream" => Self::Stream,
            _ => Self::None,
        }
    }

    /// What the option calls it.
    pub(in crate::sql) fn word(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Arrays => "arrays",
            Self::Row => "row",
            Self::Value => "value",
            Self::Values => "values",
            Self::Count => "count",
            Self::Stream => "stream",
            Self::None => "none",
        }
    }
}

/// The name of a function, which goes into SQL: identifiers with dots between them.
fn function(place: &Place, name: &str) -> Result<FunctionOption, String> {
    let mut rest = name;
    loop {
        let after = after_identifier(rest);
        match after.map(|after| (after, after.strip_prefix('.'))) {
            Some((_, Some(next))) => rest = next,
            Some(("", None)) => {
                return Ok(FunctionOption {
                    place: place.clone(),
                    name: name.to_owned(),
                });
            }
            _ => {
                return Err(format!(
                    "{name:?} is not the name of a function: write it without parentheses, such as \
                     `auth.check`"
                ));
            }
        }
    }
}

/// What follows the identifier at the beginning of a text.
fn after_identifier(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (inside, after) = quoted.split_once('"')?;
        return (!inside.is_empty() && !inside.contains('\0')).then_some(after);
    }
    let is_of_one = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let end = text.find(|c| !is_of_one(c)).unwrap_or(text.len());
    let begins = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    begins.then(|| &text[end..])
}

fn isolation(word: &str) -> Isolation {
    match word {
        "serializable" => Isolation::Serializable,
        "repeatable_read" => Isolation::RepeatableRead,
        _ => Isolation::ReadCommitted,
    }
}

fn text(written: Written<'_>) -> Option<&str> {
    match written {
        Written::Text(text) => Some(text),
        Written::Json(value) => value.as_str(),
    }
}

fn texts(written: Written<'_>) -> Result<Vec<String>, String> {
    let Written::Json(Value::Array(items)) = written else {
        return Err("must be an array of texts".to_owned());
    };
    let text = |item: &Value| item.as_str().map(str::to_owned);
    let texts: Option<Vec<_>> = items.iter().map(text).collect();
    texts.ok_or_else(|| "must be an array of texts".to_owned())
}

fn flag(written: Written<'_>) -> Result<bool, String> {
    match written {
        Written::Text("" | "true") | Written::Json(Value::Bool(true)) => Ok(true),
        Written::Text("false") | Written::Json(Value::Bool(false)) => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// Seconds, or a number with its unit.
fn time(written: Written<'_>) -> Result<Duration, String> {
    let wanted = || "must be a time above 0, such as 2s, 500ms, 1min or 1h; a number is in seconds";
    let number = match written {
        Written::Json(Value::Number(number)) => number.as_f64().map(|seconds| (seconds, "s")),
        _ => text(written).and_then(|text| {
            let end = text.find(|c: char| c.is_ascii_alphabetic());
            let (number, unit) = text.split_at(end.unwrap_or(text.len()));
            Some((number.trim().parse().ok()?, unit))
        }),
    };
    let factor = |unit| match unit {
        "ms" => Some(0.001),
        "s" | "" => Some(1.0),
        "min" => Some(60.0),
        "h" => Some(3600.0),
        "d" => Some(86400.0),
        _ => None,
    };
    let seconds = number.and_then(|(number, unit): (f64, &str)| Some(number * factor(unit)?));
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = time.filter(|time| !time.is_zero());
    time.ok_or_else(|| wanted().to_owned())
}

/// `name type = default`, of which type and default may be left out.
fn param(place: &Place, line: &str) -> Result<ParamOption, String> {
    let (before, default) = match line.split_once('=') {
        Some((before, default)) => (before, Some(default_of(default)?)),
        None => (line, None),
    };
    let mut words = before.trim().splitn(2, char::is_whitespace);
    let name = words.next().unwrap_or_default();
    let name = name.strip_prefix(':').unwrap_or(name);
    if name.is_empty() {
        return Err("must be a name, then its type and `= default` if they are to be said".into());
    }
    let r#type = words.next().map(type_of).transpose()?;
    Ok(ParamOption {
        place: place.clone(),
        name: name.to_owned(),
        r#type,
        default,
    })
}

fn default_of(text: &str) -> Result<String, String> {
    let wanted = || {
        let text = text.trim();
        format!("the default {text} is neither a literal of SQL nor JSON")
    };
    literal(text).ok_or_else(wanted)
}

/// The name of a type, which goes into the SQL.
fn type_of(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_of_a_name = |c: char| c.is_alphanumeric() || " _.,()[]\"".contains(c);
    if text.is_empty() || !text.chars().all(is_of_a_name) {
        return Err(format!("{text:?} is not the name of a type"));
    }
    Ok(text.to_owned())
}

/// An object of parameters, each with the name of its type, or with an object of `type` and
/// `default`.
fn params_of(place: &Place, params: &Value) -> Result<Vec<ParamOption>, String> {
    let wanted = || {
        "must be an object: to the name of each parameter its type, or an object with `type` and \
         `default`"
            .to_owned()
    };
    let params = params.as_object().ok_or_else(wanted)?;
    let param = |(name, said): (&String, &Value)| {
        let (r#type, default) = match said {
            Value::String(name) => (Some(name.as_str()), None),
            Value::Object(said) => {
                let mut others = said
                    .keys()
                    .filter(|key| !["type", "default"].contains(&&***key));
                if let Some(other) = others.next() {
                    return Err(format!("unknown key `{other}` of `{name}`; {}", wanted()));
                }
                let r#type = said
                    .get("type")
                    .map(|name| name.as_str().ok_or_else(wanted));
                (r#type.transpose()?, said.get("default"))
            }
            _ => return Err(wanted()),
        };
        Ok(ParamOption {
            place: place.clone(),
            name: name.clone(),
            r#type: r#type.map(type_of).transpose()?,
            default: default.map(Value::to_string),
        })
    };
    params.iter().map(param).collect()
}
