//! Limits how much one client can cause to be logged. Knows which address a line is about, not what
//! the line says.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use wamp_transport::network_of;

/// The most lines of an address, or of one kind of error, within [`PERIOD`].
pub(crate) const LINES: u64 = 60;
pub(crate) const PERIOD: Duration = Duration::from_secs(60);
/// How many addresses are counted each by itself; all others together count as one.
const ADDRESSES: usize = 1024;

/// Leaves out of the log what is too much from one source. It looks at lines with a field
/// `client`, and at errors, which a client may cause as often as it calls. Lines of DEBUG are never
/// left out.
pub(super) struct Limit(pub(super) Limits);

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let level = *event.metadata().level();
        if level > Level::INFO {
            return true;
        }
        let now = Instant::now();
        // The lines that this logs come here as well, and have no source. (That works only with a
        // subscriber of the whole process: one of a scope does not see what is logged meanwhile.)
        self.0.tell_over(now);
        let mut client = Client(None);
        event.record(&mut client);
        let source = match client.0 {
            Some(address) => Source::of(address),
            None if level == Level::ERROR => Source::Error(event.metadata().callsite()),
            None => return true,
        };
        let verdict = self.0.lock().count(source.clone(), now);
        if verdict == Verdict::TellAndLeaveOut {
            tracing::warn!(
                source = %source,
                "more than {LINES} lines within {PERIOD:?} from one source: until they are over the \
                 others are only counted"
            );
        }
        verdict == Verdict::Log
    }
}

/// What lines are about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Source {
    Address(IpAddr),
    /// All addresses beyond those that are counted each by itself.
    OtherAddresses,
    /// The place in the program that logs this error.
    Error(Identifier),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        Self::Address(network_of(address))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(ip)) => write!(f, "{ip}/64"),
            Self::Address(ip) => ip.fmt(f),
            Self::OtherAddresses => f.write_str("other addresses"),
            Self::Error(_) => f.write_str("the same error"),
        }
    }
}

/// Reads the address of the field `client`.
struct Client(Option<IpAddr>);

impl Visit for Client {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "client" {
            let address = format!("{value:?}").parse();
            self.0 = address.ok().map(|address: SocketAddr| address.ip());
        }
    }
}

/// How many lines each source has caused in its current period.
#[derive(Clone, Default)]
pub(super) struct Limits(Arc<Mutex<Table>>);

impl Limits {
    /// Says what was left out in periods that are over.
    fn tell_over(&self, now: Instant) {
        let over = self.lock().over(now);
        over.into_iter().for_each(tell);
    }

    /// Says all that was left out.
    pub(super) fn tell_all(&self) {
        let periods = std::mem::take(&mut self.lock().periods);
        for (source, period) in periods {
            tell((source, period.left_out()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell((source, left_out): (Source, u64)) {
    if left_out > 0 {
        tracing::warn!(source = %source, left_out, "lines from this source were left out of the log");
    }
}

#[derive(Default)]
struct Table {
    periods: HashMap<Source, Period>,
    /// When the first of them is over.
    next_over: Option<Instant>,
}

struct Period {
    until: Instant,
    lines: u64,
}

impl Period {
    fn left_out(&self) -> u64 {
        self.lines.saturating_sub(LINES)
    }
}

#[derive(PartialEq, Eq, Debug)]
enum Verdict {
    Log,
    TellAndLeaveOut,
    LeaveOut,
}

impl Table {
    fn count(&mut self, mut source: Source, now: Instant) -> Verdict {
        if self.periods.len() >= ADDRESSES
            && matches!(source, Source::Address(_))
            && !self.periods.contains_key(&source)
        {
            source = Source::OtherAddresses;
        }
        let until = now + PERIOD;
        let period = (self.periods.entry(source)).or_insert(Period { until, lines: 0 });
        period.lines += 1;
        self.next_over.get_or_insert(until);
        match period.left_out() {
            0 => Verdict::Log,
            1 => Verdict::TellAndLeaveOut,
            _ => Verdict::LeaveOut,
        }
    }

    /// Forgets the periods that are over, and gives what was left out in them.
    fn over(&mut self, now: Instant) -> Vec<(Source, u64)> {
        if self.next_over.is_none_or(|over| over > now) {
            return Vec::new();
        }
        let over = self.periods.extract_if(|_, period| period.until <= now);
        let over = over.map(|(source, p)| (source, p.left_out())).collect();
        self.next_over = self.periods.values().map(|period| period.until).min();
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    #[test]
    fn one_address_is_limited_and_no_other() {
        let (mut table, t0) = (Table::default(), Instant::now());
        let (loud, quiet) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..LINES {
            assert_eq!(table.count(loud.clone(), t0), Verdict::Log);
        }
        assert_eq!(table.count(loud.clone(), t0), Verdict::TellAndLeaveOut);
        assert_eq!(table.count(loud.clone(), t0), Verdict::LeaveOut);
        assert_eq!(table.count(quiet, t0), Verdict::Log);
        assert_eq!(table.over(t0), []);
        let mut over = table.over(t0 + PERIOD);
        over.sort_by_key(|(_, left_out)| *left_out);
        assert_eq!(over, [(address("192.0.2.2"), 0), (loud.clone(), 2)]);
        assert_eq!(table.count(loud, t0 + PERIOD), Verdict::Log);
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_client_causes_is_limited_and_what_was_asked_for_is_not() {
        use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt};
        let (limits, lines) = (Limits::default(), Lines::default());
        let writer = lines.clone();
        let log = tracing_subscriber::registry()
            .with(LevelFilter::DEBUG)
            .with(Limit(limits.clone()))
            .with(tracing_subscriber::fmt::layer().with_writer(move || writer.clone()));
        let client: SocketAddr = "[2001:db8::1]:4711".parse().unwrap();
        tracing::subscriber::with_default(log, || {
            for _ in 0..100 {
                tracing::info!(%client, "caused");
                tracing::debug!(%client, "traced");
                tracing::error!("failed");
                tracing::warn!("slow");
            }
            limits.tell_all();
        });
        let lines = lines.0.lock().unwrap();
        let log = String::from_utf8_lossy(&lines);
        for (words, count) in [
            ("caused", 60),
            ("traced", 100),
            ("failed", 60),
            ("slow", 100),
            ("left out of the log", 2),
        ] {
            assert_eq!(log.matches(words).count(), count, "{words}");
        }
        assert!(log.contains("2001:db8::/64") && log.contains("the same error"));
    }

    #[test]
    fn addresses_of_one_network_or_beyond_the_table_count_as_one() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        let (mut table, now) = (Table::default(), Instant::now());
        for n in 0..5000_u32 {
            table.count(Source::of(std::net::Ipv4Addr::from_bits(n).into()), now);
        }
        assert_eq!(table.periods.len(), ADDRESSES + 1);
        assert_eq!(table.over(now + PERIOD).len(), ADDRESSES + 1);
        assert!(table.next_over.is_none());
    }
}
