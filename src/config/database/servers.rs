//! Owns which servers a database has: hosts, addresses and ports, in libpq's notation (PostgreSQL's
//! manual, 34.1.1.3). Knows nothing of how they are reached.

use std::net::IpAddr;

use super::{
    parameter_value::{Origin, ParameterValue},
    sources::Sources,
    user,
};
use crate::config::{json::Json, keys::Kind, model::Server};

/// One server, or several in the order in which to try them.
pub(super) fn servers(sources: &Sources<'_>) -> Vec<Server> {
    let hosts = sources
        .find("host")
        .and_then(|given| given.name())
        .unwrap_or_default();
    let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
    let given_addresses = sources.find("hostaddr");
    let addresses = (given_addresses.as_ref()).map_or_else(Vec::new, addresses);
    let count = hosts.len().max(addresses.len());
    let are_hosts_written = hosts != [""];
    if let Some(given) = &given_addresses
        && are_hosts_written
        && !addresses.is_empty()
        && addresses.len() != hosts.len()
    {
        given.fault(format!(
            "must be one address for each host: there are {} for {}",
            addresses.len(),
            hosts.len()
        ));
    }
    let ports = match sources.find("port") {
        Some(given) => ports(&given, count, default_port(sources)),
        None => vec![default_port(sources)],
    };
    let server = |at: usize| {
        let address = addresses.get(at).copied();
        let host = match (hosts.get(at).copied().unwrap_or_default(), address) {
            ("", Some(address)) => address.to_string(),
            ("", None) => user::socket_directory().to_owned(),
            (host, _) => host.to_owned(),
        };
        let port = ports.get(at).or(ports.first());
        Server {
            host,
            address,
            port: port.copied().unwrap_or_else(|| default_port(sources)),
        }
    };
    (0..count).map(server).collect()
}

fn default_port(sources: &Sources<'_>) -> u16 {
    let port = sources.object.default_number("port");
    u16::try_from(port).expect("the default is in the range of its key")
}

/// Whether it is reached without a network, and without TLS.
pub(super) fn is_unix_socket(server: &Server) -> bool {
    server.address.is_none() && server.host.starts_with('/')
}

fn addresses(given: &ParameterValue<'_>) -> Vec<IpAddr> {
    let text = string_of(given);
    let parsed = text.split(',').map(|address| address.trim().parse());
    parsed.collect::<Result<_, _>>().unwrap_or_else(|_| {
        given.fault("must be an IP address, or one for each host with commas between them");
        Vec::new()
    })
}

fn string_of(given: &ParameterValue<'_>) -> String {
    given.text().unwrap_or_default().to_owned()
}

/// One port for all hosts, or one for each.
fn ports(given: &ParameterValue<'_>, hosts: usize, default: u16) -> Vec<u16> {
    let Some(Kind::IntegerOr(range, ..)) = given.row.map(|row| &row.kind) else {
        panic!("no port: {:?}", given.row)
    };
    let in_range = |port: &u64| range.contains(port);
    let ports: Option<Vec<u64>> = match &given.origin {
        Origin::Written(member) if !matches!(member.value(), Json::String(_)) => {
            match member.value() {
                Json::Number(number) => number.as_u64().filter(in_range).map(|port| vec![port]),
                _ => None,
            }
        }
        _ => given.text().and_then(|text| {
            text.split(',')
                .map(|port| match port.trim() {
                    "" => Some(u64::from(default)),
                    port => port.parse().ok().filter(in_range),
                })
                .collect()
        }),
    };
    let Some(ports) = ports else {
        given.fault(format!(
            "must be an integer from {} to {}, or one for each host as in \"5432,5433\"",
            range.start(),
            range.end()
        ));
        return vec![default];
    };
    if ports.len() != 1 && ports.len() != hosts {
        given.fault(format!(
            "must be one port for all hosts or one for each: there are {} ports for {hosts} {}",
            ports.len(),
            if hosts == 1 { "host" } else { "hosts" }
        ));
    }
    let narrow = |port| u16::try_from(port).expect("ports were compared with their range");
    ports.into_iter().map(narrow).collect()
}
