//! Owns the order in which the ways to a server are tried, and the reasons why none led there. Does
//! no I/O.

use std::{collections::VecDeque, net::IpAddr};

use sql::TargetSessionAttrs;

use super::{Place, Servers, Target, Way, shuffle};

/// One attempt to connect to any of the servers.
pub(crate) struct Attempt {
    /// What is left to ask all servers for.
    rounds: VecDeque<TargetSessionAttrs>,
    pub(crate) wanted: TargetSessionAttrs,
    /// Servers to be tried in this round.
    servers: VecDeque<usize>,
    /// The server that is being tried.
    server: Option<OneServer>,
    /// Why servers were passed over in this round.
    reasons: Vec<String>,
}

#[derive(Default)]
struct OneServer {
    number: usize,
    places: VecDeque<Place>,
    /// The place that is being tried, and ways to it that are left.
    place: Option<(Place, VecDeque<Way>)>,
    /// Why the ways to this place failed.
    faults: Vec<String>,
    reasons: Vec<String>,
}

/// What to do next.
pub(crate) enum Next {
    Connect(Target),
    /// Ask for the addresses of this server's host, and call [`Attempt::resolved`].
    Resolve(usize),
    /// No server can be had.
    Failed(String),
}

impl Attempt {
    pub(crate) fn new(servers: &Servers, wanted: TargetSessionAttrs) -> Self {
        let mut rounds: VecDeque<_> = Servers::rounds(wanted).iter().copied().collect();
        Self {
            wanted: rounds.pop_front().unwrap_or_default(),
            rounds,
            servers: servers.order().into(),
            server: None,
            reasons: Vec::new(),
        }
    }

    /// What to try now. Called at the beginning and after each failure.
    pub(crate) fn next(&mut self, servers: &Servers) -> Next {
        loop {
            if let Some(target) = self.server.as_mut().and_then(|one| one.next(servers)) {
                return Next::Connect(target);
            }
            if let Some(tried) = self.server.take() {
                self.reasons.push(tried.reason(servers));
            }
            if let Some(number) = self.servers.pop_front() {
                self.server = Some(OneServer {
                    number,
                    ..OneServer::default()
                });
                match places(servers, number) {
                    Some(place) => self.found(place.into()),
                    None => return Next::Resolve(number),
                }
                continue;
            }
            // Sorted, because each new reason is logged, and another order is not a new reason.
            let mut reasons = std::mem::take(&mut self.reasons);
            reasons.sort();
            let Some(wanted) = self.rounds.pop_front() else {
                return Next::Failed(reasons.join("; "));
            };
            (self.wanted, self.servers) = (wanted, servers.order().into());
        }
    }

    /// The addresses of a host, or why there are none.
    pub(crate) fn resolved(&mut self, servers: &Servers, found: Result<Vec<IpAddr>, String>) {
        let Some(server) = &self.server else { return };
        let port = servers.server(server.number).port;
        match found {
            Ok(mut addresses) => {
                if servers.settings.load_balance_hosts {
                    shuffle(&mut addresses);
                }
                let tcp = |address| Place::Tcp((address, port).into());
                self.found(addresses.into_iter().map(tcp).collect());
            }
            Err(why) => self.server_failed(why),
        }
    }

    fn found(&mut self, places: VecDeque<Place>) {
        if let Some(server) = &mut self.server {
            server.places = places;
        }
    }

    /// The server as such is of no use.
    fn server_failed(&mut self, why: String) {
        if let Some(server) = &mut self.server {
            server.reasons.push(why);
        }
    }

    /// What was tried last has failed. Whether another way to the same place may succeed depends on
    /// what was wrong.
    pub(crate) fn failed(&mut self, why: String, may_depend_on_encryption: bool) {
        if let Some(server) = &mut self.server {
            server.faults.push(why);
            if let Some((_, ways)) = &mut server.place
                && !may_depend_on_encryption
            {
                ways.clear();
            }
        }
    }
}

impl OneServer {
    fn next(&mut self, servers: &Servers) -> Option<Target> {
        loop {
            if let Some((place, ways)) = &mut self.place
                && let Some(way) = ways.pop_front()
            {
                return Some(Target {
                    server: self.number,
                    place: place.clone(),
                    way,
                });
            }
            self.note_faults();
            let place = self.places.pop_front()?;
            let ways = servers.ways(&place).iter().copied().collect();
            self.place = Some((place, ways));
        }
    }

    /// All ways to a place have failed.
    fn note_faults(&mut self) {
        let faults = std::mem::take(&mut self.faults);
        if !faults.is_empty() {
            self.reasons.push(faults.join("; and then: "));
        }
        self.place = None;
    }

    fn reason(mut self, servers: &Servers) -> String {
        self.note_faults();
        // "localhost" has two addresses, mostly with the same fault.
        self.reasons.sort();
        self.reasons.dedup();
        let mut reason = self.reasons.join("; ");
        let server = servers.server(self.number);
        if reason.is_empty() {
            reason = format!("the host name {} has no address", server.host);
        }
        if servers.settings.servers.len() > 1 {
            reason = format!("{server}: {reason}");
        }
        reason
    }
}

/// Where a server is, if that need not be asked for.
fn places(servers: &Servers, number: usize) -> Option<[Place; 1]> {
    let server = servers.server(number);
    if let Some(socket) = server.socket() {
        return Some([Place::Unix(socket)]);
    }
    let address = server.address.or_else(|| server.host.parse().ok())?;
    Some([Place::Tcp((address, server.port).into())])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sql::{ConnectionSettings, Server, SslMode};

    use super::*;

    fn servers(hosts: &[&str], sslmode: SslMode, wanted: TargetSessionAttrs) -> Servers {
        let server = |host: &&str| Server {
            host: (*host).to_owned(),
            address: None,
            port: 5432,
        };
        let mut settings = ConnectionSettings::new(server(&hosts[0]), "shop", "app");
        settings.servers = hosts.iter().map(server).collect();
        settings.sslmode = Some(sslmode);
        settings.target_session_attrs = wanted;
        Servers::new(settings, Duration::from_secs(1)).unwrap()
    }

    /// What is tried if everything fails, and the reason in the end.
    fn tried(servers: &Servers, may_depend_on_encryption: bool) -> (Vec<String>, String) {
        let mut attempt = Attempt::new(servers, servers.settings.target_session_attrs);
        let mut tried = Vec::new();
        loop {
            match attempt.next(servers) {
                Next::Connect(target) => {
                    let place = match &target.place {
                        Place::Tcp(address) => address.to_string(),
                        Place::Unix(path) => path.display().to_string(),
                    };
                    let shown = format!("{place} {:?} {:?}", target.way, attempt.wanted);
                    tried.push(shown);
                    attempt.failed(format!("no {:?}", target.way), may_depend_on_encryption);
                }
                Next::Resolve(number) => {
                    let found = match &*servers.server(number).host {
                        "two" => Ok(vec![[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]),
                        other => Err(format!("the host name {other} does not resolve")),
                    };
                    attempt.resolved(servers, found);
                }
                Next::Failed(reason) => return (tried, reason),
            }
        }
    }

    #[test]
    fn servers_addresses_and_ways_are_tried_one_after_the_other() {
        let any = TargetSessionAttrs::Any;
        let (sockets, why) = tried(&servers(&["/run/pg"], SslMode::Require, any), true);
        assert_eq!(sockets, ["/run/pg/.s.PGSQL.5432 Plain Any"]);
        assert_eq!(why, "no Plain");

        let prefers = servers(&["two", "nowhere"], SslMode::Prefer, any);
        let (both, why) = tried(&prefers, true);
        assert_eq!(
            both,
            [
                "127.0.0.1:5432 Prefer Any",
                "127.0.0.1:5432 Plain Any",
                "127.0.0.2:5432 Prefer Any",
                "127.0.0.2:5432 Plain Any"
            ]
        );
        let expected = "nowhere:5432: the host name nowhere does not resolve; \
                        two:5432: no Prefer; and then: no Plain";
        assert_eq!(why, expected);
        assert_eq!(tried(&prefers, false).0.len(), 2);
    }

    #[test]
    fn any_server_will_do_if_there_is_no_standby() {
        let prefers = TargetSessionAttrs::PreferStandby;
        let all = servers(&["127.0.0.1", "::1"], SslMode::Disable, prefers);
        let (tried, _) = tried(&all, true);
        assert_eq!(
            tried,
            [
                "127.0.0.1:5432 Plain Standby",
                "[::1]:5432 Plain Standby",
                "127.0.0.1:5432 Plain Any",
                "[::1]:5432 Plain Any"
            ]
        );
    }
}
