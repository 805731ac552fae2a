//! Procedures as a module in TypeScript: their types by their URIs, and an object of functions that
//! call them by a session of AutobahnJS. Must not know where they are from.

use std::{collections::BTreeMap, fmt::Write};

use super::Described;

const HEAD: &str = r#"// Written by `wampgres describe --typescript`. Write it again instead of changing it.
"#;

const TYPES: &str = r#"
/** What is needed of a session of AutobahnJS. */
export interface Session {
  call(procedure: string, args?: unknown[], kwargs?: object, options?: object): PromiseLike<unknown>;
}

/** The options of a call. */
export interface CallOptions {
  /** After how many milliseconds the call is canceled. */
  timeout?: number;
}

/** The arguments of a procedure: may be left out if all of them may. */
type Arguments<U extends keyof Procedures> = {} extends Procedures[U]["args"]
  ? [args?: Procedures[U]["args"], options?: CallOptions]
  : [args: Procedures[U]["args"], options?: CallOptions];

type Call<U extends keyof Procedures> = (...args: Arguments<U>) => Promise<Procedures[U]["result"]>;

/** The procedures, as functions of a session. */
export function procedures(session: Session) {
  const call =
    <U extends keyof Procedures>(uri: U): Call<U> =>
    async (...[args, options]: Arguments<U>): Promise<Procedures[U]["result"]> => {
      const [list, dict] = Array.isArray(args) ? [args, {}] : [[], args ?? {}];
      return (await session.call(uri, list, dict, options ?? {})) as Procedures[U]["result"];
    };
  return "#;

/// The procedures of one URI: several where functions differ by their parameters.
type ByUri<'a> = BTreeMap<&'a str, Vec<&'a Described>>;

/// The whole module.
pub(super) fn module(all: &[Described]) -> String {
    let mut by_uri = ByUri::new();
    for one in all {
        by_uri.entry(one.procedure.as_str()).or_default().push(one);
    }
    let mut text = HEAD.to_owned();
    text.push_str("\n/** The arguments and the result of each procedure, by its URI. */\n");
    text.push_str("export interface Procedures {\n");
    for (uri, all) in &by_uri {
        declaration(&mut text, uri, all);
    }
    text.push_str("}\n");
    text.push_str(TYPES);
    let mut tree = Tree::default();
    for (uri, all) in &by_uri {
        tree.insert(uri.split('.'), uri, all);
    }
    tree.write(&mut text, 1);
    text.push_str(";\n}\n");
    text
}

/// The types of one URI.
fn declaration(text: &mut String, uri: &str, all: &[&Described]) {
    comment(text, all, 1);
    let args: Vec<_> = all.iter().map(|one| arguments(one)).collect();
    let mut results: Vec<_> = all.iter().map(|one| result(one)).collect();
    results.dedup();
    let (args, results) = (args.join(" | "), results.join(" | "));
    let _ = writeln!(text, "  {}: {{", quoted(uri));
    let _ = writeln!(text, "    args: {args};\n    result: {results};\n  }};");
}

/// Parameters by name as an object; those by number as a tuple, if all of them are.
fn arguments(described: &Described) -> String {
    if described.takes_all {
        return "Record<string, unknown>".to_owned();
    }
    let parameters = &described.parameters;
    let is_by_number = parameters.iter().all(|p| p.name.starts_with('$'));
    let typed = parameters.iter().enumerate().map(|(index, parameter)| {
        let mark = if parameter.optional { "?" } else { "" };
        let r#type = &parameter.typescript;
        let number = index + 1;
        match is_by_number {
            true if parameter.variadic => format!("...arg{number}: {}", not_null(r#type)),
            true => format!("arg{number}{mark}: {type}"),
            false => format!("{}{mark}: {type}", quoted(&parameter.name)),
        }
    });
    let typed: Vec<_> = typed.collect();
    match (typed.is_empty(), is_by_number) {
        (true, _) => "Record<string, never>".to_owned(),
        (false, true) => format!("[{}]", typed.join(", ")),
        (false, false) => format!("{{ {} }}", typed.join("; ")),
    }
}

/// The type of a list whose elements are arguments of their own.
fn not_null(typescript: &str) -> &str {
    typescript.strip_suffix(" | null").unwrap_or(typescript)
}

/// The type of the answer.
fn result(described: &Described) -> String {
    let named = described.results.iter().filter_map(|result| {
        let name = result.name.as_deref()?;
        Some(format!("{}: {}", quoted(name), result.typescript))
    });
    let named: Vec<_> = named.collect();
    match (described.results.as_slice(), named.is_empty()) {
        _ if !described.prepared => "unknown".to_owned(),
        (_, false) => format!("{{ {} }}", named.join("; ")),
        ([], true) => "null".to_owned(),
        ([only, ..], true) => only.typescript.clone(),
    }
}

/// The description as the comment of what follows.
fn comment(text: &mut String, all: &[&Described], depth: usize) {
    let indent = "  ".repeat(depth);
    let lines = all.iter().flat_map(|one| one.description.lines());
    // What would end the comment does not.
    let lines: Vec<_> = lines.map(|line| line.replace("*/", "* /")).collect();
    match lines.as_slice() {
        [] => {}
        [line] => {
            let _ = writeln!(text, "{indent}/** {line} */");
        }
        lines => {
            let _ = writeln!(text, "{indent}/**");
            for line in lines {
                let _ = writeln!(text, "{}", format!("{indent} * {line}").trim_end());
            }
            let _ = writeln!(text, "{indent} */");
        }
    }
}

/// The components of URIs as objects inside each other.
#[derive(Default)]
struct Tree<'a> {
    /// The procedure that is here.
    here: Option<(&'a str, &'a [&'a Described])>,
    below: BTreeMap<&'a str, Self>,
}

impl<'a> Tree<'a> {
    fn insert(
        &mut self,
        mut components: std::str::Split<'a, char>,
        uri: &'a str,
        all: &'a [&'a Described],
    ) {
        match components.next() {
            Some(component) => {
                let below = self.below.entry(component).or_default();
                below.insert(components, uri, all);
            }
            None => self.here = Some((uri, all)),
        }
    }

    /// A function, an object of what is below, or a function that has what is below.
    fn write(&self, text: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        let call = self.here.map(|(uri, _)| format!("call({})", quoted(uri)));
        match (call, self.below.is_empty()) {
            (Some(call), true) => return text.push_str(&call),
            (Some(call), false) => {
                let _ = writeln!(text, "Object.assign({call}, {{");
            }
            (None, _) => text.push_str("{\n"),
        }
        for (component, below) in &self.below {
            if let Some((_, all)) = below.here {
                comment(text, all, depth + 1);
            }
            let _ = write!(text, "{indent}  {}: ", quoted(component));
            below.write(text, depth + 1);
            text.push_str(",\n");
        }
        let end = if self.here.is_some() { "})" } else { "}" };
        let _ = write!(text, "{indent}{end}");
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
