//! Owns the components in the document and the question where each joins: in this process or at
//! another router. Knows nothing of what component classes do.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU64, path::Path, time::Duration};

use component::sql;
use serde_json::Value;
use wamp::ANONYMOUS;

use super::{
    context::{Context, Routers},
    databases::Databases,
    json::Json,
    keys,
    model::{
        ClientTransport, Component, Listener, ListenerService, PathService, TcpEndpoint, Transport,
    },
    object::Object,
    reader::Cursor,
    url::WebSocketUrl,
    websocket::{serializers, websocket_options},
    words::{did_you_mean, listed, quoted, unless_secret},
};

/// Checks a component of a router worker.
pub(super) fn of_router(
    item: &Cursor<'_>,
    router: usize,
    routers: &Routers,
    databases: &mut Databases<'_>,
    context: &Context<'_>,
) -> Option<Component> {
    item.kind(&keys::COMPONENT_TYPES)?;
    let object = item.object(&keys::ROUTER_COMPONENT)?;
    let role = object.member("role").map(Name::read);
    let transport = Some(Transport::InProcess { router });
    component(&object, role, transport, routers, databases, context)
}

/// Checks a component of a container worker.
pub(super) fn of_container(
    item: &Cursor<'_>,
    routers: &Routers,
    databases: &mut Databases<'_>,
    context: &Context<'_>,
) -> Option<Component> {
    item.kind(&keys::COMPONENT_TYPES)?;
    let object = item.object(&keys::CONTAINER_COMPONENT)?;
    let transport = object
        .required("transport")
        .and_then(|transport| client_transport(&transport, routers));
    component(&object, None, transport, routers, databases, context)
}

/// Checks what the components of both kinds of worker have in common. A `role` that is written and
/// has a fault is `Some(None)`.
fn component(
    object: &Object<'_>,
    role: Option<Option<Name<'_>>>,
    transport: Option<Transport>,
    routers: &Routers,
    databases: &mut Databases<'_>,
    context: &Context<'_>,
) -> Option<Component> {
    let classname = object
        .required("classname")
        .and_then(|member| classname(&member, context.options.classes));
    let Extra {
        value: extra,
        database,
        databases,
        concurrency,
    } = extra(object, classname, databases, context);
    let realm = object.required("realm").and_then(Name::read)?;
    let role = match role {
        Some(role) => Some(role?),
        None => None,
    };
    let transport = transport?;
    if let Transport::InProcess { router } = transport {
        joins(&realm, role.as_ref(), router, routers);
    }
    Some(Component {
        json_path: object.at.path().to_owned(),
        classname: classname?.to_owned(),
        realm: realm.name.to_owned(),
        role: role.map(|role| role.name.to_owned()),
        extra,
        database,
        databases,
        concurrency,
        transport,
    })
}

/// A name in the document that refers to something in it.
struct Name<'a> {
    at: Cursor<'a>,
    name: &'a str,
}

impl<'a> Name<'a> {
    fn read(at: Cursor<'a>) -> Option<Self> {
        let name = at.uri()?;
        Some(Name { at, name })
    }
}

fn classname<'a>(member: &Cursor<'a>, classes: &[&str]) -> Option<&'a str> {
    let name = member.text()?;
    if classes.contains(&name) {
        return Some(name);
    }
    let known = match classes {
        [] => "none is known".to_owned(),
        classes => format!("known are: {}", classes.join(", ")),
    };
    let meant = did_you_mean(name, classes);
    let advice = match meant.as_str() {
        "" => {
            ". A Python class cannot run here: start it by itself as a WAMP client and remove the \
             component, or write it in Rust (examples/custom_component.rs)"
        }
        _ => "",
    };
    member.fault(format!(
        "no such class in this program{meant}; {known}{advice}"
    ));
    None
}

/// A component's `extra`, taken apart.
struct Extra {
    /// What the class gets.
    value: Value,
    /// The database that it names or holds, or that the class has anyway.
    database: Option<usize>,
    /// All that have a name, for a class whose procedures may name them.
    databases: BTreeMap<String, usize>,
    concurrency: BTreeMap<String, NonZeroU64>,
}

fn extra(
    object: &Object<'_>,
    classname: Option<&str>,
    databases: &mut Databases<'_>,
    context: &Context<'_>,
) -> Extra {
    let wanted = classname.is_some_and(|name| context.options.database_classes.contains(&name));
    let member = object.member("extra");
    let mut value = member
        .as_ref()
        .map_or(Value::Null, |member| member.value().to_value());
    let written = |name: &str| {
        (member.iter())
            .flat_map(Cursor::members)
            .filter(|(key, _)| *key == name)
            .map(|(_, member)| member)
            .next_back()
    };
    let is_sql = classname == Some(sql::CLASSNAME);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("database");
        if !is_sql {
            fields.remove("procedures");
        }
    }
    if let (true, Some(member)) = (is_sql, &member) {
        sql_procedures(member, &mut value, context);
    }
    if let (true, Some(member)) = (wanted, &member)
        && !matches!(value, Value::Object(_) | Value::Null)
    {
        member.fault("must be an object, in which the class looks for its `database`");
    }
    let database = match written("database") {
        Some(written) => databases.written(&written, context),
        None if wanted => {
            object.at.note(
                "has no extra.database: the environment and defaults say where PostgreSQL is, see the summary",
            );
            databases.unwritten(&object.at, context)
        }
        None => None,
    };
    let procedures = written("procedures").filter(|_| !is_sql);
    let concurrency = procedures.map(|procedures| concurrency(&procedures));
    Extra {
        value,
        database,
        databases: if is_sql {
            databases.all_named()
        } else {
            BTreeMap::new()
        },
        concurrency: concurrency.unwrap_or_default(),
    }
}

/// Checks which keys the `extra` of the class for SQL has, and makes its directory absolute; their
/// values are the class's to read.
fn sql_procedures(member: &Cursor<'_>, value: &mut Value, context: &Context<'_>) {
    let Some(object) = member.object(&keys::SQL_EXTRA) else {
        return;
    };
    if let Some(procedures) = object.member("procedures") {
        if !matches!(procedures.value(), Json::Object(_)) {
            procedures.fault("must be an object with an object for each URI of a procedure");
        }
        for (_, procedure) in procedures.members() {
            procedure.object(&keys::SQL_PROCEDURE);
        }
    }
    if let Some(topics) = object.member("topics") {
        sql_topics(&topics);
    }
    for schema in object.items("schemas") {
        schema.text();
    }
    let directory = object.member("directory");
    if let Some((member, written)) = directory.and_then(|member| member.text().map(|t| (member, t)))
    {
        let directory = context.base_dir.join(Path::new(written));
        if !directory.is_dir() {
            member.fault(format!(
                "there is no directory {}; relative ones are relative to the config file",
                unless_secret(directory.display().to_string())
            ));
        }
        value["directory"] = directory.to_string_lossy().into();
    }
}

/// Checks which keys the topics of the class for SQL have.
fn sql_topics(member: &Cursor<'_>) {
    let Some(topics) = member.object(&keys::SQL_TOPICS) else {
        return;
    };
    if let Some(channels) = topics.member("channels") {
        if !matches!(channels.value(), Json::Object(_)) {
            channels.fault("must be an object with a topic for each channel");
        }
        for (_, channel) in channels.members() {
            if !matches!(channel.value(), Json::String(_)) {
                channel.object(&keys::SQL_CHANNEL);
            }
        }
    }
    if let Some(outbox) = topics.member("outbox")
        && !matches!(outbox.value(), Json::Bool(_))
    {
        outbox.object(&keys::SQL_OUTBOX);
    }
}

/// How many invocations of each procedure may run at once, by its URI.
fn concurrency(procedures: &Cursor<'_>) -> BTreeMap<String, NonZeroU64> {
    if !matches!(procedures.value(), Json::Object(_)) {
        procedures.fault("must be an object with an object for each URI of a procedure");
    }
    let limit = |(uri, procedure): (&str, Cursor<'_>)| {
        let object = procedure.object(&keys::PROCEDURE)?;
        let limit = object.optional_integer("concurrency")?;
        Some((uri.to_owned(), NonZeroU64::new(limit)?))
    };
    procedures.members().into_iter().filter_map(limit).collect()
}

/// Checks that the realm and the role of a component in this process exist; else it could never
/// join.
fn joins(realm: &Name<'_>, role: Option<&Name<'_>>, router: usize, routers: &Routers) {
    if !routers.realms_sound[router] {
        return;
    }
    let realms = &routers.workers[router].realms;
    let Some(found) = realms.iter().find(|other| other.name == realm.name) else {
        let names: Vec<&str> = realms.iter().map(|realm| realm.name.as_str()).collect();
        realm.at.fault(format!(
            "the router has no such realm{}; it has: {}",
            did_you_mean(realm.name, &names),
            listed(&names)
        ));
        return;
    };
    let roles: Vec<&str> = found.roles.iter().map(|role| role.name.as_str()).collect();
    match role {
        Some(role) if !roles.contains(&role.name) => role.at.fault(format!(
            "the realm has no such role{}; it has: {}",
            did_you_mean(role.name, &roles),
            listed(&roles)
        )),
        None if !roles.contains(&ANONYMOUS) => realm.at.fault(format!(
            "the realm has no role `{ANONYMOUS}`, as which the component joins: add it, or name another in the `role` \
             of a component of the router; it has: {}",
            listed(&roles)
        )),
        _ => {}
    }
}

fn client_transport(transport: &Cursor<'_>, routers: &Routers) -> Option<Transport> {
    transport.kind(&keys::CLIENT_TRANSPORT_TYPES)?;
    let object = transport.object(&keys::CLIENT_TRANSPORT)?;
    serializers(&object);
    let options = websocket_options(&object);
    let endpoint = object.member("endpoint");
    let endpoint = endpoint.and_then(|endpoint| client_endpoint(&endpoint));
    let timeout = endpoint.as_ref().map_or_else(
        || {
            transport
                .with_nothing(&keys::CLIENT_ENDPOINT)
                .integer("timeout")
        },
        |endpoint| endpoint.timeout,
    );
    let member = object.required("url")?;
    let written = member.text()?;
    let url = match WebSocketUrl::parse(written) {
        Ok(url) => url,
        Err(problem) => {
            member.fault(problem);
            return None;
        }
    };
    if let Some(endpoint) = &endpoint {
        endpoint.agrees_with(&url);
    }
    match own_listener(&url, routers) {
        OwnListener::Serves(router) => Some(Transport::InProcess { router }),
        OwnListener::NotAWebSocket(paths) => {
            member.fault(format!(
                "the port is a listener of this node, which has no websocket at {}; it has: {}",
                quoted(&url.path),
                listed(&paths.iter().map(String::as_str).collect::<Vec<_>>())
            ));
            None
        }
        OwnListener::No if url.port == 0 => {
            if routers.faulty_listeners == 0 {
                member
                    .fault("port 0 stands for a listener of this node with port 0; there is none");
            }
            None
        }
        OwnListener::No => Some(Transport::Dialled(Box::new(ClientTransport {
            url: written.to_owned(),
            host: url.host,
            port: url.port,
            path: url.path,
            timeout: Duration::from_secs(timeout),
            options,
        }))),
    }
}

struct ClientEndpoint<'a> {
    host: Option<(Cursor<'a>, &'a str)>,
    port: Option<(Cursor<'a>, u16)>,
    timeout: u64,
}

fn client_endpoint<'a>(item: &Cursor<'a>) -> Option<ClientEndpoint<'a>> {
    item.kind(&keys::ENDPOINT_TYPES)?;
    let object = item.object(&keys::CLIENT_ENDPOINT)?;
    let host = object.required("host");
    let port = object.required("port");
    Some(ClientEndpoint {
        host: host.and_then(|member| member.text().map(|host| (member.clone(), host))),
        port: port.and_then(|member| object.optional_integer("port").map(|port| (member, port))),
        timeout: object.integer("timeout"),
    })
}

impl ClientEndpoint<'_> {
    fn agrees_with(&self, url: &WebSocketUrl) {
        if let Some((member, host)) = &self.host
            && !same_host(host, &url.host)
        {
            member.fault(format!(
                "contradicts `url`, whose host is {}: make them the same, or leave out the endpoint",
                unless_secret(url.host.clone())
            ));
        }
        if let Some((member, port)) = &self.port
            && *port != url.port
        {
            member.fault(format!(
                "contradicts `url`, whose port is {}: make them the same, or leave out the endpoint",
                url.port
            ));
        }
    }
}

enum OwnListener {
    /// A WebSocket of this node: the index of its router.
    Serves(usize),
    /// A listener of this node that has WebSockets at these paths only.
    NotAWebSocket(Vec<String>),
    No,
}

/// Whether the URL leads to a listener of this node.
fn own_listener(url: &WebSocketUrl, routers: &Routers) -> OwnListener {
    let mut answer = OwnListener::No;
    for (router, worker) in routers.workers.iter().enumerate() {
        for listener in &worker.transports {
            if listener.endpoint.port != url.port || !listens_at(&listener.endpoint, &url.host) {
                continue;
            }
            match websocket_paths(listener) {
                None => return OwnListener::Serves(router),
                Some(paths) if paths.iter().any(|path| *path == without_query(&url.path)) => {
                    return OwnListener::Serves(router);
                }
                Some(paths) => match &mut answer {
                    OwnListener::NotAWebSocket(all) => all.extend(paths),
                    _ => answer = OwnListener::NotAWebSocket(paths),
                },
            }
        }
    }
    answer
}

fn listens_at(endpoint: &TcpEndpoint, host: &str) -> bool {
    match endpoint.interface.as_deref() {
        None | Some("0.0.0.0" | "::") => is_loopback(host),
        Some(interface) => same_host(interface, host),
    }
}

fn same_host(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (is_loopback(a) && is_loopback(b))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The paths at which a listener serves WebSockets; `None` stands for all.
fn websocket_paths(listener: &Listener) -> Option<Vec<String>> {
    match &listener.service {
        ListenerService::WebSocket(_) => None,
        ListenerService::Web { paths } => Some(
            (paths.iter())
                .filter(|(_, service)| matches!(service, PathService::WebSocket(_)))
                .map(|(path, _)| format!("/{path}"))
                .collect(),
        ),
    }
}

fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}
