//! How many connections there may be, in all and of one address, and which of them is closed to
//! make room. Must not know what is served on a connection, nor how one is closed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use reactor::ConnectionId;

/// So many connections of an address do not count as a share of what is free.
const SMALL_SHARE: usize = 16;
/// So many connections may be on their way out at once, to make room; those that come for them are
/// in the node already.
const MOST_LEAVING: usize = 32;
/// So many connections may be told that they are refused, and wait for the end, at once.
const MOST_REFUSED: usize = 16;
/// That a limit is reached is logged once in so much time for an address, and for the node.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// The limits on a node's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The most connections at once.
    pub max_connections: usize,
    /// The most of one address at once.
    pub per_address: AddressLimit,
}

/// How many connections of one address there may be at once. An address is one of IPv4, or the /64
/// of one of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AddressLimit {
    /// As many as are free: half of all for the first address, half of the rest for the second, and
    /// so on. Always 16, while any are free.
    #[default]
    Share,
    /// So many.
    Fixed(usize),
    /// As many as the node may have.
    None,
}

/// Figures of a node's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionStats {
    /// How many are open.
    pub open: usize,
    /// The most that may be.
    pub max_connections: usize,
    /// How many have been refused.
    pub refused: u64,
    /// How many without a session have been closed to make room for others.
    pub closed_for_room: u64,
}

/// What limits a connection that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// `max_connections`.
    Node,
    /// `max_connections_per_address`.
    Address,
    /// The process has no file descriptor left.
    Descriptors,
}

/// A connection's place among those that there may be. A later one has a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

/// Where a connection is: the number of its I/O thread, and its name there.
pub(super) type Whereabouts = (usize, ConnectionId);

/// What becomes of a connection that has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It has a place.
    Admitted(Place),
    /// It has the place of another, which is to be closed.
    InsteadOf(Whereabouts, Place),
    /// There is no place.
    Refused(Limit),
}

/// A limit that was reached, to be logged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) limit: Limit,
    /// How many connections it allows.
    pub(super) most: usize,
}

/// The connections of a node, which all its I/O threads share. The lock is held for a look into small
/// tables: when a connection comes, begins or ends to be without a session, and goes.
pub struct Connections {
    limits: ConnectionLimits,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    open: usize,
    latest: u64,
    addresses: HashMap<IpAddr, Address>,
    /// Those that may be closed to make room, the oldest first.
    sessionless: BTreeMap<Place, (IpAddr, Whereabouts)>,
    sessionless_of: BTreeSet<(IpAddr, Place)>,
    /// Those that have been asked to go, and have not yet.
    leaving: BTreeSet<Place>,
    /// How many are being told that they are refused.
    being_refused: usize,
    refused: u64,
    closed_for_room: u64,
    told_at: Option<Instant>,
    descriptors_told_at: Option<Instant>,
}

/// The connections of one address.
#[derive(Default)]
struct Address {
    open: usize,
    leaving: usize,
    told_at: Option<Instant>,
}

impl Connections {
    /// No connections, and how many there may be.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            table: Mutex::default(),
        }
    }

    /// The figures of this moment.
    pub fn stats(&self) -> ConnectionStats {
        let table = self.table();
        ConnectionStats {
            open: table.open,
            max_connections: self.limits.max_connections,
            refused: table.refused,
            closed_for_room: table.closed_for_room,
        }
    }

    /// Gives a connection of this address a place, if there is one or can be; and what to log of it.
    pub(super) fn admit(&self, address: IpAddr, now: Instant) -> (Admission, Option<Reached>) {
        let network = network_of(address);
        let mut table = self.table();
        let table = &mut *table;
        let staying = table.open - table.leaving.len();
        let free = self.limits.max_connections.saturating_sub(staying);
        let own = table.addresses.get(&network).map_or(0, Address::staying);
        let allowed = self.limits.of_address(own, free);
        let (limit, most, oldest) = if own >= allowed {
            (Limit::Address, allowed, table.oldest_of(network))
        } else if free == 0 {
            (Limit::Node, self.limits.max_connections, table.oldest())
        } else {
            return (Admission::Admitted(table.take_place(network)), None);
        };
        let told_at = match (limit, table.addresses.get_mut(&network)) {
            (Limit::Address, Some(address)) => &mut address.told_at,
            _ => &mut table.told_at,
        };
        let reached = is_news(told_at, now).then_some(Reached { limit, most });
        let admission = match oldest.and_then(|oldest| table.make_leave(oldest)) {
            Some(other) => Admission::InsteadOf(other, table.take_place(network)),
            None => {
                table.refused += 1;
                Admission::Refused(limit)
            }
        };
        (admission, reached)
    }

    /// Chooses a connection to be closed because there is no file descriptor left: `None` if there
    /// is none, or if enough are going.
    pub(super) fn make_room(&self) -> Option<Whereabouts> {
        let mut table = self.table();
        let oldest = table.oldest()?;
        table.make_leave(oldest)
    }

    /// Whether connections are going, so that there is room in a moment.
    pub(super) fn is_making_room(&self) -> bool {
        !self.table().leaving.is_empty()
    }

    /// Whether as many are going as may at once.
    pub(super) fn has_to_wait(&self) -> bool {
        self.table().leaving.len() >= MOST_LEAVING
    }

    /// Whether to log that there is no file descriptor left.
    pub(super) fn is_news_of_descriptors(&self, now: Instant) -> bool {
        is_news(&mut self.table().descriptors_told_at, now)
    }

    /// Counts a connection that was refused for want of a file descriptor.
    pub(super) fn refused_without_descriptor(&self) {
        self.table().refused += 1;
    }

    /// Whether one more may wait to be told that it is refused; it is counted until
    /// [`Connections::has_refused`].
    pub(super) fn may_refuse(&self) -> bool {
        let mut table = self.table();
        let may = table.being_refused < MOST_REFUSED;
        table.being_refused += usize::from(may);
        may
    }

    /// A connection that was refused is gone.
    pub(super) fn has_refused(&self) {
        self.table().being_refused -= 1;
    }

    /// The connection may be closed from now on to make room: it has no session, and nothing is
    /// being sent on it.
    pub(super) fn may_close(&self, place: Place, address: IpAddr, whereabouts: Whereabouts) {
        let network = network_of(address);
        let mut table = self.table();
        table.sessionless.insert(place, (network, whereabouts));
        table.sessionless_of.insert((network, place));
    }

    /// The connection must not be closed any more. If it has been asked to go, it stays.
    pub(super) fn must_stay(&self, place: Place, address: IpAddr) {
        self.table().must_stay(place, network_of(address));
    }

    /// The connection's socket is closed.
    pub(super) fn leave(&self, place: Place, address: IpAddr) {
        let network = network_of(address);
        let mut table = self.table();
        table.must_stay(place, network);
        table.open -= 1;
        if let Some(address) = table.addresses.get_mut(&network) {
            address.open -= 1;
            if address.open == 0 {
                table.addresses.remove(&network);
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing under the lock panics but for a mistake in these figures, which others survive.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionLimits {
    /// How many connections an address may have that has `own`, while so many are free: its share
    /// is half of what others leave.
    fn of_address(&self, own: usize, free: usize) -> usize {
        match self.per_address {
            AddressLimit::Share => usize::midpoint(own, free).max(SMALL_SHARE),
            AddressLimit::Fixed(most) => most,
            AddressLimit::None => usize::MAX,
        }
    }
}

impl Table {
    fn take_place(&mut self, network: IpAddr) -> Place {
        self.open += 1;
        self.addresses.entry(network).or_default().open += 1;
        self.latest += 1;
        Place(self.latest)
    }

    fn oldest(&self) -> Option<Place> {
        self.sessionless.keys().next().copied()
    }

    fn oldest_of(&self, network: IpAddr) -> Option<Place> {
        let all = (network, Place(0))..=(network, Place(u64::MAX));
        self.sessionless_of
            .range(all)
            .next()
            .map(|&(_, place)| place)
    }

    /// Frees a connection's place, if not too many others are on their way out.
    fn make_leave(&mut self, place: Place) -> Option<Whereabouts> {
        if self.leaving.len() >= MOST_LEAVING {
            return None;
        }
        let (network, whereabouts) = self.sessionless.remove(&place)?;
        self.sessionless_of.remove(&(network, place));
        self.leaving.insert(place);
        self.addresses.entry(network).or_default().leaving += 1;
        self.closed_for_room += 1;
        Some(whereabouts)
    }

    fn must_stay(&mut self, place: Place, network: IpAddr) {
        if self.sessionless.remove(&place).is_some() {
            self.sessionless_of.remove(&(network, place));
        } else if self.leaving.remove(&place)
            && let Some(address) = self.addresses.get_mut(&network)
        {
            address.leaving -= 1;
        }
    }
}

impl Address {
    fn staying(&self) -> usize {
        self.open - self.leaving
    }
}

/// What counts as one address: whoever has one of version 6 has the whole /64.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ip => ip,
    }
}

fn is_news(told_at: &mut Option<Instant>, now: Instant) -> bool {
    let is_news = told_at.is_none_or(|at| now.duration_since(at) >= TOLD_AGAIN);
    if is_news {
        *told_at = Some(now);
    }
    is_news
}
