//! Holds the table of `docs/limits.md` to the limits of the code and to the defaults of their keys,
//! and prints it anew when it is asked to. A limit is a row here, made of what the code has.

use std::{env, fs, path::Path, time::Duration};

use super::documented::RENEW;
use crate::{
    cli::logging::limit,
    config::keys::{DATABASE, DefaultValue, Kind, LIMITS, Section, WEBSOCKET_OPTIONS},
};
use component::sql::{EVENTS_AT_ONCE, OCTETS_AT_ONCE};
use wamp_router::{CLEARED_AT_ONCE, FEW_CALLS, Limits};
use wamp_transport::limits as transport;

const ROUTER: Limits = Limits::DEFAULT;

/// What waits, who pays, the bound, and what happens when it is full.
type Row = [String; 4];

fn row(waits: &str, payer: &str, bound: impl Into<String>, full: &str) -> Row {
    [waits.into(), payer.into(), bound.into(), full.into()]
}

/// The table. Rows that belong together stand together.
fn rows() -> Vec<Row> {
    [
        at_a_connection(),
        at_a_callee(),
        of_a_session(),
        elsewhere(),
    ]
    .concat()
}

fn at_a_connection() -> Vec<Row> {
    let slow = key(&WEBSOCKET_OPTIONS, "slow_client_timeout");
    let taken = bytes(transport::LEAST_TAKEN);
    let slowly = format!(
        "it is not read from; when its socket has taken less than {taken} in {slow} it is dropped, \
         and at {} times the limit at once; logged",
        transport::OUTBOX_HARD
    );
    vec![
        row(
            "a message that has begun to come in",
            "its client",
            [
                key(&WEBSOCKET_OPTIONS, "max_message_size"),
                key(&WEBSOCKET_OPTIONS, "message_timeout"),
            ]
            .join("; complete within "),
            "Close 1009 or 1008, logged",
        ),
        row(
            "one read of a connection",
            "its client",
            format!(
                "{}; {} messages or {} at a time, and one at a time once all connections together \
                 have taken {}",
                bytes(reactor::READ_BUFFER),
                transport::MESSAGES_AT_ONCE,
                time(transport::TIME_AT_ONCE),
                time(transport::TIME_FOR_ALL)
            ),
            "the rest waits for the others' turn",
        ),
        row(
            "what a session has caused and others have not taken: EVENTs on the way to their \
             connections or to a component in this process, INVOCATIONs that the callee's socket \
             has not taken",
            "who published or called",
            format!(
                "{}, each message with {} bytes more",
                bytes(transport::BACKLOG_LIMIT),
                transport::MARGIN
            ),
            "the session is not read from until it is below half",
        ),
        row(
            "EVENTs of a realm on the way to connections",
            "who publishes meanwhile",
            bytes(transport::REALM_EVENTS_LIMIT),
            "each publisher is not read from until its event has arrived",
        ),
        row(
            "what is sent to a session (its outbox)",
            "that session",
            key(&WEBSOCKET_OPTIONS, "outbox_limit"),
            &slowly,
        ),
    ]
}

fn at_a_callee() -> Vec<Row> {
    vec![
        row(
            "parts of an answer of a component",
            "its source, such as PostgreSQL",
            format!(
                "{}, and no second one beside {}, until no more than {} wait for the caller's socket",
                component::PARTS_AHEAD,
                bytes(component::OCTETS_AHEAD),
                bytes(transport::SHORT_OUTPUT)
            ),
            "the source is not asked for the next",
        ),
        row(
            "CALLs at a callee",
            "each caller",
            format!(
                "{} at a callee; for a component with a database {} + {}, in equal parts for the \
                 realms that have it in common",
                number(ROUTER.invocations_per_session),
                key(&DATABASE, "queue_limit"),
                key(&DATABASE, "cp_max")
            ),
            "`wamp.error.unavailable`, retryable, for a caller that has as many as are free",
        ),
        row(
            "CALLs for a procedure with a `concurrency`",
            "each caller",
            format!(
                "{} and {} a procedure; callers take turns",
                number(ROUTER.queued_calls_per_registration),
                bytes(ROUTER.queued_octets_per_registration)
            ),
            "the same",
        ),
        row(
            "calls that each caller may have at these",
            "each caller",
            format!("{FEW_CALLS}, as long as there is room"),
            "its share counts",
        ),
        row(
            "jobs of a pool",
            "the caller",
            key(&DATABASE, "queue_limit"),
            "`wamp.error.unavailable`, retryable",
        ),
        row(
            "cancel requests to PostgreSQL",
            "the pool",
            format!(
                "one for each worker at a time, each {}",
                time(adbapi::CANCEL_WAIT)
            ),
            "the next waits",
        ),
    ]
}

fn of_a_session() -> Vec<Row> {
    let each = [
        ROUTER.calls_per_session,
        ROUTER.invocations_per_session,
        ROUTER.registrations_per_session,
        ROUTER.subscriptions_per_session,
    ];
    let cleared = number(CLEARED_AT_ONCE);
    vec![
        row(
            "a URI",
            "who sends it",
            bytes(wamp::MAX_URI_LEN),
            "`wamp.error.invalid_uri`",
        ),
        row(
            "calls, invocations, registrations, subscriptions of a session",
            "that session",
            each.map(number).join(", "),
            "`wamp.error.unavailable`",
        ),
        row(
            "what a session leaves behind",
            "nobody",
            format!("{cleared} entries are cleared at each input"),
            "the rest waits for the next",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of limits")]
fn elsewhere() -> Vec<Row> {
    let client = wamp_client::Limits::DEFAULT;
    let requests = format!(
        "{}; {} on the way to another router, from which nothing is read above {}",
        number(client.pending),
        bytes(client.unsent),
        bytes(transport::DIALLED_OUTPUT_LIMIT)
    );
    let listing = format!(
        "{} entries, made {} at a time; {} pages of {} are kept a directory",
        number(web::MAX_LISTED),
        web::LISTED_AT_ONCE,
        web::KEPT_LISTINGS,
        bytes(web::MAX_KEPT_LISTING)
    );
    let log = format!(
        "{}; {} lines in {} for an address",
        bytes(stdio::LOG_LIMIT),
        limit::LINES,
        time(limit::PERIOD)
    );
    let events = bytes(transport::COMPONENT_EVENTS_LIMIT);
    let outbox = format!(
        "{}; {}, and the last one whole",
        number(EVENTS_AT_ONCE.into()),
        bytes(OCTETS_AT_ONCE as usize)
    );
    vec![
        row(
            "events for a component in this process",
            "that component",
            events,
            "dropped, counted, logged",
        ),
        row(
            "requests of a component without an answer",
            "that component",
            requests,
            "`wamp.error.unavailable`",
        ),
        row(
            "events of an outbox that are read and not published yet",
            "the outbox",
            outbox,
            "the next are read when the router has taken these",
        ),
        row(
            "what all clients make the node hold",
            "who makes it hold most",
            described(&LIMITS, "memory_limit"),
            "large messages wait, and who stands still or holds most is dropped, Close 1013; logged",
        ),
        row(
            "connections",
            "their address; then who has no session",
            format!(
                "{}; for an address {}",
                described(&LIMITS, "max_connections"),
                described(&LIMITS, "max_connections_per_address")
            ),
            "the oldest without a session is closed; if there is none, 503; logged",
        ),
        row(
            "a directory listing",
            "who asks",
            listing,
            "it says that there are more",
        ),
        row("the log", "the node", log, "dropped, counted"),
    ]
}

/// A key and its default: "`cp_max` (10)".
fn key(section: &Section, name: &str) -> String {
    let value = section.value(name).expect("the key is served");
    let DefaultValue::Number(default) = value.default else {
        panic!("the default of {name} is not a number");
    };
    let count = usize::try_from(default).expect("a default is not that large");
    let default = match value.kind {
        Kind::Integer(_, "bytes") => bytes(count),
        Kind::Integer(_, "ms") => time(Duration::from_millis(default)),
        _ => number(count),
    };
    format!("`{name}` ({default})")
}

/// A key whose default depends on the machine: "`max_connections` (what files …)".
fn described(section: &Section, name: &str) -> String {
    let value = section.value(name).expect("the key is served");
    let DefaultValue::Special(default) = value.default else {
        panic!("the default of {name} is not described");
    };
    format!("`limits.{name}` ({default})")
}

/// "64 KiB", in the largest unit that divides it.
fn bytes(bytes: usize) -> String {
    let units = [(1 << 20, "MiB"), (1 << 10, "KiB"), (1, "bytes")];
    let unit = units.iter().find(|(unit, _)| bytes.is_multiple_of(*unit));
    let (unit, name) = unit.expect("everything is in bytes");
    format!("{} {name}", number(bytes / unit))
}

/// "30 s" or "0.5 ms".
fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{} s", time.as_secs_f64())
    }
}

/// "65,536".
fn number(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups = groups.map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

#[test]
fn the_document_shows_the_tables_of_limits() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/limits.md");
    let document = fs::read_to_string(&file).unwrap();
    let lines = rows()
        .into_iter()
        .map(|row| format!("| {} |\n", row.join(" | ")));
    let table = lines.collect::<String>();
    let head = "\n| what waits | who pays | bound | when it is full |\n|---|---|---|---|\n";
    let (begin, end) = ("<!-- printed: limits -->\n", "\n<!-- end -->");
    let (before, rest) = document.split_once(begin).expect("a beginning");
    let (_, after) = rest.split_once(end).expect("an end");
    let renewed = format!("{before}{begin}{head}{table}{end}{after}");
    if env::var_os(RENEW).is_some() {
        return fs::write(&file, renewed).unwrap();
    }
    let stale = (document.lines().zip(renewed.lines())).find(|(is, should)| is != should);
    assert!(
        document == renewed,
        "docs/limits.md is stale; renew it by\n    \
         {RENEW}=1 cargo test --lib the_document_shows_the_tables\n\
         the first difference: {stale:#?}"
    );
}
