//! Owns the text of values that Rust's own types do not hold: times, `numeric`, `uuid`. Must not
//! know who reads it.

use std::{error::Error as StdError, fmt::Write as _};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use postgres_types::{FromSql, Type};

type Text = Result<String, Box<dyn StdError + Sync + Send>>;

/// The text of a value in its binary form: times as ISO 8601 has them, which the serde of `chrono`
/// and its like reads, a `numeric` in decimals, a `uuid` with hyphens. `None` for other types.
pub(super) fn of(r#type: &Type, bytes: &[u8]) -> Option<Text> {
    Some(match *r#type {
        Type::DATE => time::<NaiveDate>(r#type, bytes, |date| format!("{date:?}")),
        Type::TIME => time::<NaiveTime>(r#type, bytes, |time| format!("{time:?}")),
        Type::TIMESTAMP => time::<NaiveDateTime>(r#type, bytes, |time| format!("{time:?}")),
        Type::TIMESTAMPTZ => time::<DateTime<Utc>>(r#type, bytes, |time| {
            time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        }),
        Type::NUMERIC => numeric(bytes).ok_or_else(|| "it is no numeric".into()),
        Type::UUID => uuid(bytes).ok_or_else(|| "it is no uuid".into()),
        _ => return None,
    })
}

/// A time, or `infinity` and `-infinity`, which PostgreSQL sends as the greatest and the smallest
/// number.
fn time<'a, T: FromSql<'a>>(r#type: &Type, bytes: &'a [u8], text: fn(T) -> String) -> Text {
    match bytes {
        [0x7f, rest @ ..] if rest.iter().all(|byte| *byte == 0xff) => Ok("infinity".to_owned()),
        [0x80, rest @ ..] if rest.iter().all(|byte| *byte == 0) => Ok("-infinity".to_owned()),
        _ => T::from_sql(r#type, bytes).map(text),
    }
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

/// `numeric_send` in PostgreSQL's `numeric.c`: the number of digits, the weight of the first, the
/// sign, the number of decimals to show, and the digits, each from 0 to 9999.
fn numeric(bytes: &[u8]) -> Option<String> {
    let mut words = bytes
        .chunks(2)
        .map(|word| word.try_into().map(u16::from_be_bytes));
    let mut word = || words.next()?.ok();
    let count = word()?;
    let weight = i32::from(word()?.cast_signed());
    let sign = word()?;
    let decimals = usize::from(word()?);
    let digits: Vec<u16> = (0..count).map(|_| word()).collect::<Option<_>>()?;
    // The digit of this weight; those that are not sent are zeros.
    let digit = |of: i32| {
        let at = usize::try_from(weight - of).ok();
        at.and_then(|at| digits.get(at)).copied().unwrap_or(0)
    };
    let mut text = match sign {
        0 => String::new(),
        0x4000 => "-".to_owned(),
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("Infinity".to_owned()),
        0xf000 => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    let first = weight.max(0);
    let _ = write!(text, "{}", digit(first));
    for of in (0..first).rev() {
        let _ = write!(text, "{:04}", digit(of));
    }
    if decimals > 0 {
        text.push('.');
        let end = text.len() + decimals;
        let mut of = -1;
        while text.len() < end {
            let _ = write!(text, "{:04}", digit(of));
            of -= 1;
        }
        text.truncate(end);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, de::IntoDeserializer, de::value::Error};

    use super::*;

    fn read<T: for<'a> Deserialize<'a>>(r#type: &Type, bytes: &[u8]) -> T {
        let text = of(r#type, bytes).unwrap().unwrap();
        let text: serde::de::value::StringDeserializer<Error> = text.into_deserializer();
        T::deserialize(text).unwrap()
    }

    #[test]
    fn chrono_reads_times_again() {
        let day = NaiveDate::from_ymd_opt(2000, 1, 2).unwrap();
        let moment = day.and_hms_micro_opt(0, 0, 1, 5).unwrap();
        let micros = 86_401_000_005_i64.to_be_bytes();
        assert_eq!(read::<NaiveDate>(&Type::DATE, &1_i32.to_be_bytes()), day);
        assert_eq!(read::<NaiveDateTime>(&Type::TIMESTAMP, &micros), moment);
        assert_eq!(
            read::<DateTime<Utc>>(&Type::TIMESTAMPTZ, &micros),
            moment.and_utc()
        );
        let time = 1_000_005_i64.to_be_bytes();
        assert_eq!(read::<NaiveTime>(&Type::TIME, &time), moment.time());
        // Before Christ, and beyond what chrono has.
        let early = of(&Type::DATE, &(-1_000_000_i32).to_be_bytes());
        assert_eq!(early.unwrap().unwrap(), "-0738-02-03");
        assert!(
            of(&Type::TIMESTAMP, &(i64::MAX - 1).to_be_bytes())
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn what_is_cut_off_is_an_error_and_no_panic() {
        let whole = [0, 2, 0, 0, 0x40, 0, 0, 2, 0, 12, 19, 136];
        assert_eq!(numeric(&whole).as_deref(), Some("-12.50"));
        for length in 0..whole.len() {
            assert_eq!(numeric(&whole[..length]), None, "{length}");
        }
        assert!(of(&Type::UUID, &[1; 15]).unwrap().is_err());
        assert!(of(&Type::TIMESTAMP, &[]).unwrap().is_err());
    }
}
