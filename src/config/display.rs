//! Owns how a checked node is printed for people, as by `wampgres check`. Shows no password.

use std::fmt::{self, Display, Formatter};

use super::model::{
    Backend, Component, Database, Listener, ListenerService, NodeConfig, Realm, TcpEndpoint,
    Transport,
};

impl Display for NodeConfig {
    /// One line for each realm, listener, path, named database, component and note.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let routers = self.routers.iter();
        let realms = routers.clone().flat_map(|router| &router.realms);
        let mut lines: Vec<String> = realms.map(realm).collect();
        for listener in routers.flat_map(|router| &router.transports) {
            lines.push(format!("listener {}", listener.endpoint));
            lines.extend(services(listener));
        }
        for database in &self.databases {
            let name = database.name.iter();
            lines.extend(name.map(|name| format!("database {name}: {}", target(database))));
        }
        lines.extend(
            self.components
                .iter()
                .map(|c| component(c, &self.databases)),
        );
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        f.write_str(&lines.join("\n"))
    }
}

fn realm(realm: &Realm) -> String {
    let roles: Vec<String> = (realm.roles.iter())
        .map(|role| match role.permissions.len() {
            1 => format!("{} (1 permission)", role.name),
            count => format!("{} ({count} permissions)", role.name),
        })
        .collect();
    if roles.is_empty() {
        format!("realm {}: no roles, nobody can join", realm.name)
    } else {
        format!("realm {}: {}", realm.name, roles.join(", "))
    }
}

impl Display for TcpEndpoint {
    /// `127.0.0.1:8080`, `*:8080` on all interfaces.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.interface.as_deref() {
            None => f.write_str("*")?,
            Some(address) if address.contains(':') => write!(f, "[{address}]")?,
            Some(interface) => f.write_str(interface)?,
        }
        match self.port {
            0 => f.write_str(":0 (any free port)"),
            port => write!(f, ":{port}"),
        }
    }
}

fn services(listener: &Listener) -> Vec<String> {
    match &listener.service {
        ListenerService::WebSocket(_) => vec!["  websocket on every path".to_owned()],
        ListenerService::Web { paths } => (paths.iter())
            .map(|(path, service)| {
                let path = path.trim_start_matches('/');
                format!("  /{path}: {service}")
            })
            .collect(),
    }
}

fn component(component: &Component, databases: &[Database]) -> String {
    let transport = match &component.transport {
        Transport::InProcess { .. } => "in this process".to_owned(),
        // A ticket would stand in the query.
        Transport::Dialled(connect) => {
            format!("at {}", connect.url.split('?').next().unwrap_or_default())
        }
    };
    let database = component.database.and_then(|index| databases.get(index));
    let database = database.map_or_else(String::new, |database| match &database.name {
        Some(name) => format!("; database {name}"),
        None => format!("; {database}"),
    });
    format!(
        "component {}: realm {}, {transport}{database}",
        component.classname, component.realm
    )
}

impl Display for Database {
    /// The database, its servers and the number of connections.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "database {}", target(self))
    }
}

fn target(database: &Database) -> String {
    let servers: Vec<String> = database.servers.iter().map(ToString::to_string).collect();
    let backend = match database.backend {
        Backend::Adbapi => String::new(),
        other => format!(" by {other}"),
    };
    format!(
        "{} of {} at {}, {} to {} connections{backend}",
        database.database,
        database.user,
        servers.join(", "),
        database.cp_min,
        database.cp_max
    )
}
