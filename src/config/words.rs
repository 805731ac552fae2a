//! Owns the wording that faults share: quotations, lists, suggestions, paths. Knows nothing of the
//! document.

pub(super) use component::did_you_mean;

/// A string longer than this many characters is cut in a fault.
const SEEN: usize = 60;

/// `parent.key`, or `parent["key"]` for a key that would be misread in the first form.
pub(super) fn join(parent: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
    match (parent, !key.is_empty() && key.chars().all(plain)) {
        ("$", true) => key.to_owned(),
        (_, true) => format!("{parent}.{key}"),
        (_, false) => format!("{parent}[{}]", quoted(key)),
    }
}

/// What a fault says in place of a secret.
pub(super) const HIDDEN: &str = "a value that is not shown";

/// Whether the value of this key is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    const SECRETS: [&str; 7] = [
        "passw",
        "passphrase",
        "secret",
        "ticket",
        "token",
        "credential",
        "privkey",
    ];
    let key = key.to_ascii_lowercase();
    key == "key" || SECRETS.iter().any(|secret| key.contains(secret))
}

/// Whether a text can hold a secret. The login of a URL stands before an `@`; its parameters, and
/// those of a libpq connection string, have a `=`; both may be percent-encoded. A URL that was cut
/// short may end in its password.
fn can_hold_secret(text: &str) -> bool {
    let is_cut_short = |rest: &str| {
        let end = rest.find(['/', '?', '#', ',']).unwrap_or(rest.len());
        let (_, port) = rest[..end].rsplit_once(':').unwrap_or_default();
        !port
            .trim_end_matches(']')
            .chars()
            .all(|c| c.is_ascii_digit())
    };
    text.contains(['@', '=', '%']) || is_secret(text) || text.split("//").skip(1).any(is_cut_short)
}

/// A string in quotation marks, cut short. One that can hold a secret is not shown at all.
pub(super) fn quoted(text: &str) -> String {
    if can_hold_secret(text) {
        return HIDDEN.to_owned();
    }
    if text.chars().count() <= SEEN {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SEEN).collect();
    format!("{:?}", start + "...")
}

/// A name or a path as it is, for the middle of a sentence. One that can hold a secret is not
/// shown.
pub(super) fn unless_secret(text: String) -> String {
    if can_hold_secret(&text) {
        format!("({HIDDEN})")
    } else {
        text
    }
}

/// "`a`", "`a` or `b`", "`a`, `b` or `c`".
pub(super) fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// Names with commas between them, or "none".
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// What an author is told about a key that nobody knows.
pub(super) fn unknown_key(key: &str, allowed: &[&str]) -> String {
    format!(
        "unknown key{}; allowed: {}",
        did_you_mean(key, allowed),
        allowed.join(", ")
    )
}
