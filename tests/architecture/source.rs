//! A Rust source as far as its paths are concerned: which it names, and on which line. Knows no
//! rule that they should obey.

/// A source file, taken apart.
pub(super) struct Source<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    /// The lines of inline test modules, first and last.
    tests: Vec<(usize, usize)>,
}

/// A path as it is named: `crate::wamp::Uri`, `std::fmt`, `serde_json::Value`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedPath {
    /// Counted from 1.
    pub(super) line: usize,
    /// `*` at the end for a glob.
    pub(super) segments: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    line: usize,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Word(String),
    /// `::`
    Colons,
    Mark(char),
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut tokens = tokens(&without_comments_and_texts(text));
        let tests = cut_tests(&mut tokens);
        Self {
            text,
            tokens,
            tests,
        }
    }

    pub(super) fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// How many of them belong to inline test modules.
    pub(super) fn test_lines(&self) -> usize {
        self.tests
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum()
    }

    /// Every path of the code outside of inline test modules: those of imports, taken out of
    /// their groups, and those of two segments or more in between.
    pub(super) fn paths(&self) -> Vec<NamedPath> {
        let mut paths = Vec::new();
        let mut rest = &self.tokens[..];
        let mut before: Option<&Kind> = None;
        while let Some(token) = rest.first() {
            let Kind::Word(word) = &token.kind else {
                before = Some(&token.kind);
                rest = &rest[1..];
                continue;
            };
            if word == "use" {
                rest = use_tree(&rest[1..], &[], &mut paths);
            } else if word == "extern" {
                rest = extern_crate(&rest[1..], &mut paths);
            } else {
                let (path, after) = path(rest);
                let is_root = match before {
                    // A method.
                    Some(Kind::Mark('.')) => false,
                    // An associated item: `<T as Trait>::name`.
                    Some(Kind::Colons) => follows_nothing(&self.tokens, rest),
                    _ => true,
                };
                if path.segments.len() > 1 && is_root {
                    paths.push(path);
                }
                rest = after;
            }
            before = None;
        }
        paths
    }
}

/// Whether the `::` before `rest` begins its path: `::std::net`.
fn follows_nothing(tokens: &[Token], rest: &[Token]) -> bool {
    let at = tokens.len() - rest.len();
    at < 2 || !matches!(tokens[at - 2].kind, Kind::Word(_) | Kind::Mark('>'))
}

/// The path at the beginning, and what comes after it.
fn path(tokens: &[Token]) -> (NamedPath, &[Token]) {
    let mut path = NamedPath {
        line: tokens[0].line,
        segments: Vec::new(),
    };
    let mut rest = tokens;
    while let Some(Kind::Word(word)) = rest.first().map(|token| &token.kind) {
        path.segments.push(word.clone());
        rest = &rest[1..];
        match rest {
            [
                Token {
                    kind: Kind::Colons, ..
                },
                Token {
                    kind: Kind::Word(_),
                    ..
                },
                ..,
            ] => {
                rest = &rest[1..];
            }
            _ => break,
        }
    }
    (path, rest)
}

/// `extern crate name`, or anything else that begins with `extern`.
fn extern_crate<'t>(tokens: &'t [Token], paths: &mut Vec<NamedPath>) -> &'t [Token] {
    match tokens {
        [
            Token {
                kind: Kind::Word(word),
                ..
            },
            Token {
                line,
                kind: Kind::Word(name),
            },
            rest @ ..,
        ] if word == "crate" => {
            paths.push(NamedPath {
                line: *line,
                segments: vec![name.clone()],
            });
            rest
        }
        _ => tokens,
    }
}

/// One tree of an import, with the segments that stand before it; gives what comes after.
fn use_tree<'t>(tokens: &'t [Token], before: &[String], paths: &mut Vec<NamedPath>) -> &'t [Token] {
    let mut segments = before.to_vec();
    let mut rest = tokens;
    let mut line = rest.first().map_or(0, |token| token.line);
    let mut is_group = false;
    while let Some(token) = rest.first() {
        match &token.kind {
            Kind::Word(word) if word == "as" => rest = &rest[1..],
            Kind::Word(word) => {
                line = token.line;
                segments.push(word.clone());
            }
            Kind::Mark('*') => segments.push("*".to_owned()),
            Kind::Mark('{') => {
                is_group = true;
                rest = &rest[1..];
                while !matches!(rest.first().map(|t| &t.kind), None | Some(Kind::Mark('}'))) {
                    rest = use_tree(rest, &segments, paths);
                    if rest.first().map(|t| &t.kind) == Some(&Kind::Mark(',')) {
                        rest = &rest[1..];
                    }
                }
            }
            Kind::Colons => {}
            Kind::Mark(_) => break,
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    if !is_group && segments.len() > before.len() {
        paths.push(NamedPath { line, segments });
    }
    rest
}

/// Takes inline modules under `#[cfg(test)]` out, and says on which lines they stood.
fn cut_tests(tokens: &mut Vec<Token>) -> Vec<(usize, usize)> {
    let cfg_test = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut tests = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_cfg_test = tokens[at..].len() > cfg_test.len()
            && tokens[at..]
                .iter()
                .zip(cfg_test)
                .all(|(token, expected)| is(token, expected));
        if !is_cfg_test {
            at += 1;
            continue;
        }
        // `mod name {`, perhaps with a visibility; everything else is cut by nobody.
        let item = &tokens[at + cfg_test.len()..];
        let open = item.iter().position(|t| is(t, "{") || is(t, ";"));
        let module = item.iter().position(|t| is(t, "mod"));
        match (module, open) {
            (Some(module), Some(open)) if module < open && is(&item[open], "{") => {
                let end = at + cfg_test.len() + open + closing(&item[open..]);
                let last = end.min(tokens.len() - 1);
                tests.push((tokens[at].line, tokens[last].line));
                tokens.drain(at..=last);
            }
            _ => at += 1,
        }
    }
    tests
}

/// Where the brace at the beginning is closed.
fn closing(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        if is(token, "{") {
            depth += 1;
        } else if is(token, "}") {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    tokens.len()
}

fn is(token: &Token, text: &str) -> bool {
    match &token.kind {
        Kind::Word(word) => word == text,
        Kind::Colons => text == "::",
        Kind::Mark(mark) => text.len() == 1 && text.starts_with(*mark),
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (kind, length) = if length > 0 {
                (Some(Kind::Word(rest[..length].to_owned())), length)
            } else if rest.starts_with("::") {
                (Some(Kind::Colons), 2)
            } else {
                let kind = (!first.is_whitespace()).then_some(Kind::Mark(first));
                (kind, first.len_utf8())
            };
            tokens.extend(kind.map(|kind| Token {
                line: line_number,
                kind,
            }));
            rest = &rest[length..];
        }
    }
    tokens
}

/// The text with blanks in place of comments, strings and characters; lines stay lines.
fn without_comments_and_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let blank = blank_length(rest, code.chars().next_back());
        if blank == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        code.extend(
            rest[..blank]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[blank..];
    }
    code
}

/// How long the comment, string or character is that the text begins with; 0 if it is code.
fn blank_length(text: &str, before: Option<char>) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if text.starts_with('r') && !in_word {
        let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
        if text[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = hashes + 2;
            return text[begin..]
                .find(&end)
                .map_or(text.len(), |at| begin + at + end.len());
        }
    }
    if text.starts_with('"') {
        return quoted(text, '"');
    }
    // A character, not a lifetime: 'a' is closed, 'a is not.
    let mut inner = text.chars().skip(1);
    let is_char =
        text.starts_with('\'') && (inner.next() == Some('\\') || inner.next() == Some('\''));
    if is_char { quoted(text, '\'') } else { 0 }
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            match text[at..].chars().next() {
                Some(c) => at += c.len_utf8(),
                None => return at,
            }
        }
    }
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
