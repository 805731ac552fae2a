//! Points in time as Python's `"{0}".format(datetime)` prints them.

use chrono::{DateTime, FixedOffset};

/// Reads `2026-11-22 11:00:41.123456+00:00`; the fraction is missing when it is zero.
///
/// # Panics
/// When Python would not have printed the text.
pub fn parse(text: &str) -> DateTime<FixedOffset> {
    let time = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z")
        .unwrap_or_else(|error| panic!("{text:?} is no time: {error}"));
    let printed = match time.timestamp_subsec_micros() {
        0 => time.format("%Y-%m-%d %H:%M:%S%:z"),
        _ => time.format("%Y-%m-%d %H:%M:%S%.6f%:z"),
    };
    assert_eq!(text, printed.to_string(), "not as Python prints it");
    time
}
