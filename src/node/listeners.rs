//! The listeners of a node: what is bound for each, and where it can be reached. Must not know what
//! happens on a connection.

use std::{io, net::SocketAddr, sync::Arc};

use super::{Error, settings};
use crate::config::{Listener, ListenerService, PathService};
use reactor::Mailbox;
use wamp_transport::{Connections, Mail, Realms};

/// Where a listener can be reached.
#[derive(Clone, Debug)]
pub struct Address {
    /// The listener, as the configuration has it.
    pub json_path: String,
    /// The addresses it is bound to, IPv4 first, with the port that port 0 has become.
    pub sockets: Vec<SocketAddr>,
    /// The path of each WebSocket service, `/ws`.
    pub websocket_paths: Vec<String>,
    /// The path of each service of files, `/`, `/shared/`.
    pub file_paths: Vec<String>,
}

/// A listener: where it is, and its sockets.
pub(super) type Listening = (Address, Vec<(mio::net::TcpListener, reactor::Accept)>);

pub(super) fn listen(
    listener: &Listener,
    realms: &Arc<Realms>,
    mailboxes: &Arc<[Mailbox<Mail>]>,
    connections: &Arc<Connections>,
) -> Result<Listening, Error> {
    let endpoint = &listener.endpoint;
    let backlog = settings::backlog(endpoint);
    let bound = settings::interface(endpoint)
        .and_then(|addresses| wamp_transport::bind_all(&addresses, endpoint.port, backlog))
        .map_err(|source| Error::Listen {
            json_path: listener.json_path.clone(),
            address: endpoint.to_string(),
            source,
        })?;
    for socket in &bound {
        wamp_transport::set_peer_timeout(socket, endpoint.peer_timeout)?;
    }
    let service = Arc::new(settings::web_service(listener)?);
    let sockets = bound.iter().map(mio::net::TcpListener::local_addr);
    let address = Address {
        json_path: listener.json_path.clone(),
        sockets: sockets.collect::<io::Result<_>>()?,
        websocket_paths: websocket_paths(&listener.service),
        file_paths: file_paths(&listener.service),
    };
    let accept = || {
        wamp_transport::deal(
            mailboxes.clone(),
            realms.clone(),
            service.clone(),
            connections.clone(),
        )
    };
    let sockets = bound.into_iter().map(|socket| (socket, accept()));
    Ok((address, sockets.collect()))
}

fn websocket_paths(service: &ListenerService) -> Vec<String> {
    match service {
        ListenerService::WebSocket(_) => vec!["/".to_owned()],
        ListenerService::Web { paths } => paths
            .iter()
            .filter(|(_, service)| matches!(service, PathService::WebSocket(_)))
            .map(|(path, _)| format!("/{path}"))
            .collect(),
    }
}

fn file_paths(service: &ListenerService) -> Vec<String> {
    let ListenerService::Web { paths } = service else {
        return Vec::new();
    };
    (paths.iter())
        .filter(|(_, service)| matches!(service, PathService::Static { .. }))
        .map(|(path, _)| match path.as_str() {
            "/" => "/".to_owned(),
            path => format!("/{path}/"),
        })
        .collect()
}
