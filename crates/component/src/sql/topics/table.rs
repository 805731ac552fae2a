//! Owns the tables of what `topics` in the configuration has: each key, what it takes, its default and
//! its meaning. Must not know who reads them.

use super::super::options::{OptionKind, OptionPlace, OptionRow};

/// How old an event of the outbox becomes where nothing is said, in seconds.
pub(super) const MAX_AGE: u64 = 3600;
/// How many bytes of events are kept.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// How many events of an outbox are read at once, and are published before the next are.
pub const EVENTS_AT_ONCE: u16 = 1000;
/// How many bytes they have, but for the last.
pub const OCTETS_AT_ONCE: u32 = 4 << 20;

const fn row(
    name: &'static str,
    kind: OptionKind,
    default: &'static str,
    meaning: &'static str,
) -> OptionRow {
    OptionRow {
        name,
        kind,
        default,
        meaning,
        place: OptionPlace::Configuration,
    }
}

/// What is said of a channel, instead of its topic alone.
pub const CHANNEL_OPTIONS: &[OptionRow] = &[
    row(
        "topic",
        OptionKind::Text,
        "required",
        "the topic that the channel's notifications are published to",
    ),
    row(
        "payload",
        OptionKind::Word(&["json", "text"]),
        "`json`",
        "`json`: a payload that is JSON becomes arguments, any other one a string; `text`: each is \
         a string",
    ),
];

/// What is said of the outbox.
pub const OUTBOX_OPTIONS: &[OptionRow] = &[
    row(
        "topics",
        OptionKind::Texts,
        "all",
        "what the topics begin with that are published, in whole parts: `com.shop` is \
         `com.shop.stock` too",
    ),
    row(
        "ids",
        OptionKind::Flag,
        "`true`",
        "each event has its id in the keyword argument `_event`",
    ),
    row(
        "since",
        OptionKind::Text,
        "`events.since` behind the `prefix`, or `wampgres.events.since`",
        "the procedure that gives what came since an event",
    ),
    row(
        "missing",
        OptionKind::Text,
        "`events.missing` behind the `prefix`, or `wampgres.events.missing`",
        "the topic that is told when events were deleted before they were published",
    ),
    row(
        "max_age",
        OptionKind::Time,
        "1h",
        "how long an event is kept after it was published, at least until its transaction has been \
         over for a minute, or half of this time",
    ),
    row(
        "max_bytes",
        OptionKind::Count(0, 1 << 50),
        "1073741824 (1 GiB)",
        "how many bytes of events are kept, about; older ones are deleted",
    ),
];
