//! Owns what a function sets for itself and PostgreSQL looks at only when a transaction or a statement
//! begins: there it acts, and not in the function. Must not know how it is set.

use std::time::Duration;

use sql::Isolation;

use super::super::options::Options;

/// What of a function's own settings, `name=value`, is to be set for the transaction that calls it.
/// The error says what cannot be read.
pub(super) fn hoisted(settings: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    for setting in settings {
        let Some((name, value)) = setting.split_once('=') else {
            continue;
        };
        let value = value.trim().to_ascii_lowercase();
        let unreadable = || format!("what it sets cannot be read: SET {name} = '{value}'");
        match name {
            "statement_timeout" => {
                options.timeout = Some(time(&value).ok_or_else(unreadable)?);
            }
            "default_transaction_isolation" => {
                options.isolation = Some(isolation(&value).ok_or_else(unreadable)?);
            }
            "default_transaction_read_only" => {
                options.read_only = Some(flag(&value).ok_or_else(unreadable)?);
            }
            // All others act inside of the function, where PostgreSQL sets them.
            _ => {}
        }
    }
    Ok(options)
}

/// A time as PostgreSQL reads it, in milliseconds without a unit.
fn time(value: &str) -> Option<Duration> {
    let end = value.find(|c: char| !"0123456789.+-e".contains(c));
    let (number, unit) = value.split_at(end.unwrap_or(value.len()));
    let factor = match unit.trim() {
        "us" => 1e-6,
        "ms" | "" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * factor).ok()
}

fn isolation(value: &str) -> Option<Isolation> {
    Some(match value {
        "serializable" => Isolation::Serializable,
        "repeatable read" => Isolation::RepeatableRead,
        // PostgreSQL has no other for it.
        "read committed" | "read uncommitted" => Isolation::ReadCommitted,
        _ => return None,
    })
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_at_the_beginning_alone_is_read() {
        for (setting, milliseconds) in [
            ("statement_timeout=2s", Some(2000)),
            ("statement_timeout=1500", Some(1500)),
            ("statement_timeout=1.5 min", Some(90_000)),
            ("statement_timeout=0", Some(0)),
            ("statement_timeout=1h", Some(3_600_000)),
            ("lock_timeout=2s", None),
        ] {
            let read = hoisted(&[setting.to_owned()]).unwrap();
            let expected = milliseconds.map(Duration::from_millis);
            assert_eq!(read.timeout, expected, "{setting}");
        }
        let settings = [
            "default_transaction_isolation=REPEATABLE READ",
            "search_path=api, pg_temp",
            "default_transaction_read_only=on",
        ];
        let read = hoisted(&settings.map(str::to_owned)).unwrap();
        let expected = Options {
            isolation: Some(Isolation::RepeatableRead),
            read_only: Some(true),
            ..Options::default()
        };
        assert_eq!(read, expected);
        let unreadable = hoisted(&["statement_timeout=0x10".to_owned()]);
        assert!(unreadable.unwrap_err().contains("statement_timeout"));
    }
}
