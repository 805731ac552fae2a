//! Payloads as people write them on a command line, and as lines of JSON. Must not know what they are
//! for.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use wamp::{Event, Invocation, Payload, Uri};

use super::Failure;

/// The arguments of a call or an event.
#[derive(Args)]
pub(in crate::cli) struct PayloadArgs {
    /// The positional arguments. What is JSON is taken as JSON: 3, true, '"3"', '{"a": 1}'. All else
    /// is a string: tea, 3kg
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    args: Vec<String>,
    /// The keyword arguments, a JSON object
    #[arg(long, value_name = "OBJECT", value_parser = object)]
    kwargs: Option<Object>,
    /// One keyword argument, whose value is taken as ARGS are. May be given several times
    #[arg(short = 'k', long = "kwarg", value_name = "NAME=VALUE", value_parser = named)]
    named: Vec<(String, String)>,
    /// Take all ARGS and each VALUE as strings, also those that are JSON
    #[arg(long)]
    strings: bool,
    /// Read the arguments from FILE, or from standard input for -: a JSON list of the positional
    /// ones, or an object of the form {"args": [], "kwargs": {}}. The system shows the command line
    /// to other users, so secrets belong here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["args", "kwargs", "named", "strings"])]
    input: Option<PathBuf>,
}

/// Where the arguments are.
pub(in crate::cli) enum Source<'a> {
    CommandLine(Payload),
    /// A file, or `-`.
    Input(&'a Path),
}

/// A JSON object, whose values are kept as they are written.
type Object = BTreeMap<String, Box<RawValue>>;

impl PayloadArgs {
    /// The arguments, or where to read them.
    pub(in crate::cli) fn source(&self) -> Result<Source<'_>, Failure> {
        Ok(match &self.input {
            Some(file) => Source::Input(file),
            None => Source::CommandLine(self.written()?),
        })
    }

    fn written(&self) -> Result<Payload, Failure> {
        let value = |text: &str| value_of(text, self.strings);
        let args: Vec<_> = self.args.iter().map(|text| value(text)).collect();
        let mut kwargs = self.kwargs.clone().unwrap_or_default();
        for (name, text) in &self.named {
            if kwargs.insert(name.clone(), value(text)).is_some() {
                let why = format!("the keyword argument {name:?} is given twice");
                return Err(Failure::Usage(why));
            }
        }
        new(&args, &kwargs).map_err(Failure::Usage)
    }
}

/// A payload of an `--input`.
pub(in crate::cli) fn read_payload(document: &RawValue) -> Result<Payload, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, expecting = "an object")]
    struct Both {
        #[serde(default)]
        args: Vec<Box<RawValue>>,
        #[serde(default)]
        kwargs: Object,
    }
    let text = document.get();
    let both = if text.starts_with('[') {
        serde_json::from_str(text).map(|args| Both {
            args,
            kwargs: Object::new(),
        })
    } else {
        serde_json::from_str(text)
    };
    let both = both.map_err(|why| {
        format!("must be a JSON list, or an object of the form {{\"args\": [], \"kwargs\": {{}}}}: {why}")
    })?;
    new(&both.args, &both.kwargs)
}

/// Keyword arguments that nobody has given are not sent.
fn new(args: &[Box<RawValue>], kwargs: &Object) -> Result<Payload, String> {
    let payload = match (args, kwargs.is_empty()) {
        ([], true) => Ok(Payload::empty()),
        (args, true) => Payload::from_args(&args),
        (args, false) => Payload::from_args_kwargs(&args, kwargs),
    };
    payload.map_err(|why| why.to_string())
}

/// A word of the command line: JSON if it is that, else a string.
pub(in crate::cli) fn value_of(text: &str, is_string: bool) -> Box<RawValue> {
    let json = (!is_string).then(|| serde_json::from_str::<Box<RawValue>>(text));
    if let Some(Ok(value)) = json {
        return value;
    }
    serde_json::value::to_raw_value(text).expect("a string has a JSON form")
}

fn object(text: &str) -> serde_json::Result<Object> {
    serde_json::from_str(text)
}

fn named(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must have the form NAME=VALUE".to_owned()),
    }
}

/// A result as a line: the one value that most have, null for none, and all else in full.
pub(in crate::cli) fn payload_line(payload: &Payload) -> String {
    let (args, kwargs) = parts(payload);
    match (&args[..], &*kwargs) {
        ([], "{}") => "null".to_owned(),
        ([value], "{}") => compact(value.get()),
        _ => payload_envelope(payload),
    }
}

/// A payload in full, as a line.
pub(in crate::cli) fn payload_envelope(payload: &Payload) -> String {
    let (args, kwargs) = parts(payload);
    format!("{{\"args\":{},\"kwargs\":{kwargs}}}", list(&args))
}

/// An event as a line, with the topic that it was published to.
pub(in crate::cli) fn event_line(topic: &Uri, event: &Event) -> String {
    let (args, kwargs) = parts(&event.payload);
    let topic = serde_json::to_string(topic.as_str()).expect("a string has a JSON form");
    let publication = event.publication;
    let args = list(&args);
    let mut line = format!(
        "{{\"topic\":{topic},\"publication\":{publication},\"args\":{args},\"kwargs\":{kwargs}"
    );
    if event.details.publisher.is_some() {
        let publisher = serde_json::to_string(&event.details).expect("details have a JSON form");
        line.push_str(",\"details\":");
        line.push_str(&publisher);
    }
    line.push('}');
    line
}

/// An invocation as a line, with who calls where that is disclosed.
pub(in crate::cli) fn invocation_line(procedure: &Uri, invocation: &Invocation) -> String {
    let (args, kwargs) = parts(&invocation.payload);
    let procedure = serde_json::to_string(procedure.as_str()).expect("a string has a JSON form");
    let details = serde_json::to_string(&invocation.details).expect("details have a JSON form");
    let args = list(&args);
    format!(
        "{{\"procedure\":{procedure},\"args\":{args},\"kwargs\":{kwargs},\"details\":{details}}}\n"
    )
}

/// Positional arguments, and keyword arguments as one line.
fn parts(payload: &Payload) -> (Vec<Box<RawValue>>, String) {
    let args = payload.args().expect("it came as a list");
    let kwargs: Box<RawValue> = payload.kwargs().expect("it came as a dictionary");
    (args, compact(kwargs.get()))
}

fn list(args: &[Box<RawValue>]) -> String {
    let args: Vec<_> = args.iter().map(|value| compact(value.get())).collect();
    format!("[{}]", args.join(","))
}

/// JSON without blanks and ends of lines between its parts. Each digit stays as it is.
pub(in crate::cli) fn compact(json: &str) -> String {
    let (mut is_string, mut is_escaped) = (false, false);
    let is_kept = |c: &char| {
        if is_string {
            is_string = is_escaped || *c != '"';
            is_escaped = !is_escaped && *c == '\\';
            return true;
        }
        is_string = *c == '"';
        !c.is_ascii_whitespace()
    };
    json.chars().filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_json_where_they_can_be() {
        for (word, value) in [
            ("3", "3"),
            ("-0.50", "-0.50"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("true", "true"),
            ("null", "null"),
            ("[1, {\"a\": 2}]", "[1, {\"a\": 2}]"),
            ("\"3\"", "\"3\""),
            ("tea", "\"tea\""),
            ("", "\"\""),
            ("007", "\"007\""),
            ("3 4", "\"3 4\""),
            ("NaN", "\"NaN\""),
            ("say \"hi\"", "\"say \\\"hi\\\"\""),
        ] {
            assert_eq!(value_of(word, false).get(), value, "{word:?}");
        }
        assert_eq!(value_of("3", true).get(), "\"3\"");
    }

    #[test]
    fn results_are_one_line_each() {
        let payload = |args: &str, kwargs: &str| {
            let document = format!("{{\"args\":{args},\"kwargs\":{kwargs}}}");
            let document: Box<RawValue> = serde_json::from_str(&document).unwrap();
            payload_line(&read_payload(&document).unwrap())
        };
        for (args, kwargs, line) in [
            ("[]", "{}", "null"),
            (
                "[\n{\"a b\": \"c \\\" d\\\\\" ,\t\"e\": 1.50}\n]",
                "{}",
                "{\"a b\":\"c \\\" d\\\\\",\"e\":1.50}",
            ),
            ("[1, 2]", "{}", "{\"args\":[1,2],\"kwargs\":{}}"),
            ("[]", "{\"a\": 1}", "{\"args\":[],\"kwargs\":{\"a\":1}}"),
        ] {
            assert_eq!(payload(args, kwargs), line);
        }
    }

    #[test]
    fn an_input_is_a_list_or_both_kinds_of_arguments() {
        let read = |text: &str| {
            let document: Box<RawValue> = serde_json::from_str(text).unwrap();
            read_payload(&document)
        };
        assert_eq!(
            payload_envelope(&read("[1]").unwrap()),
            r#"{"args":[1],"kwargs":{}}"#
        );
        let kwargs = read(r#"{"kwargs": {"a": 1}}"#).unwrap();
        assert_eq!(payload_envelope(&kwargs), r#"{"args":[],"kwargs":{"a":1}}"#);
        for wrong in ["1", r#""a""#, r#"{"a": 1}"#, r#"{"args": 1}"#] {
            let why = read(wrong).unwrap_err();
            assert!(why.contains("must be a JSON list"), "{why}");
        }
    }
}
