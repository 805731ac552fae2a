//! Owns the top of the document and what its parts must agree on. Knows nothing of what is inside
//! the parts.

use super::{
    component,
    context::{Context, Routers},
    databases::Databases,
    keys,
    listener::{self, Ports},
    model::{Limits, NodeConfig, RouterWorker},
    object::Object,
    reader::Cursor,
    router,
};

/// Checks the document. The result counts only if no fault was reported.
pub(super) fn node(root: &Cursor<'_>, context: &Context<'_>) -> NodeConfig {
    let Some(top) = root.object(&keys::NODE) else {
        return NodeConfig::default();
    };
    version(&top);
    let limits = limits(&top.object("limits"));
    let mut databases = Databases::read(&top, context);
    let Some(workers) = top.required("workers") else {
        return NodeConfig::default();
    };
    let sound_so_far = root.report().faults();
    let items = workers.array().unwrap_or_default();
    let kinds = items.iter().map(|worker| worker.kind(&keys::WORKER_TYPES));
    let kinds: Vec<_> = kinds.collect();

    let mut routers = Routers::default();
    let mut ports = Ports::default();
    let mut hosted = Vec::new();
    for (worker, kind) in items.iter().zip(kinds) {
        match kind {
            Some("router") => {
                let router = routers.workers.len();
                let object = read_router(worker, context, &mut routers, &mut ports);
                hosted.extend(object.map(|object| (object, Some(router))));
            }
            Some(_) => hosted.extend(worker.object(&keys::CONTAINER).map(|object| (object, None))),
            None => {}
        }
    }
    ports.check_distinct();

    let mut components = Vec::new();
    for (worker, router) in &hosted {
        worker.object("options");
        for item in worker.items("components") {
            components.extend(match router {
                Some(router) => {
                    component::of_router(&item, *router, &routers, &mut databases, context)
                }
                None => component::of_container(&item, &routers, &mut databases, context),
            });
        }
    }
    if routers.workers.is_empty() && components.is_empty() && root.report().faults() == sound_so_far
    {
        workers.fault_unseen("has neither a router nor a component: the node would do nothing");
    }
    NodeConfig {
        routers: routers.workers,
        databases: databases.into_used(),
        components,
        limits,
        notes: Vec::new(),
    }
}

fn limits(limits: &Object<'_>) -> Limits {
    Limits {
        max_connections: limits.optional_integer("max_connections"),
        max_connections_per_address: limits.optional_integer("max_connections_per_address"),
        memory_limit: limits.optional_integer("memory_limit"),
    }
}

fn version(top: &Object<'_>) {
    const FIX: &str = "must be 2, the version of Crossbar.io's format that is understood";
    if let Some(version) = top.required("version")
        && version.seen() != "2"
    {
        version.fault(FIX);
    }
}

fn read_router<'a>(
    worker: &Cursor<'a>,
    context: &Context<'_>,
    routers: &mut Routers,
    ports: &mut Ports<'a>,
) -> Option<Object<'a>> {
    let object = worker.object(&keys::ROUTER)?;
    let before = worker.report().faults();
    let realms = router::realms(&object);
    let realms_sound = worker.report().faults() == before;
    let mut transports = Vec::new();
    for item in object.items("transports") {
        match listener::listener(&item, context, ports) {
            Some(listener) => transports.push(listener),
            None => routers.faulty_listeners += 1,
        }
    }
    routers.workers.push(RouterWorker { realms, transports });
    routers.realms_sound.push(realms_sound);
    Some(object)
}
