//! Owns how host names are resolved, on threads of their own because that may block. Must not know
//! who connects.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// Told the addresses of a host, or why there are none.
pub(crate) type OnResolved = Box<dyn FnOnce(Result<Vec<IpAddr>, String>) + Send>;

/// How a name is resolved. Only tests have another than the system's.
pub(crate) type Resolve = fn(&str) -> io::Result<Vec<IpAddr>>;

/// Resolves the names of a pool's hosts, one thread for each name at most, however long that takes.
pub(crate) struct Resolver {
    resolve: Mutex<Resolve>,
    /// Names that are being resolved, and who waits for each.
    waiting: Mutex<HashMap<String, Vec<OnResolved>>>,
}

impl Resolver {
    pub(super) fn new() -> Self {
        let by_system: Resolve = |name| {
            let found = (name, 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        };
        Self {
            resolve: Mutex::new(by_system),
            waiting: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn set(&self, resolve: Resolve) {
        *self.resolve.lock().unwrap_or_else(PoisonError::into_inner) = resolve;
    }

    /// Whether this name is being resolved.
    pub(crate) fn is_resolving(&self, name: &str) -> bool {
        self.waiting().contains_key(name)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Vec<OnResolved>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `told` with the addresses of a host, on a thread of its own.
    pub(crate) fn resolve(self: &Arc<Self>, name: &str, told: OnResolved) {
        let mut waiting = self.waiting();
        let others = waiting.entry(name.to_owned()).or_default();
        others.push(told);
        if others.len() > 1 {
            return;
        }
        drop(waiting);
        let resolve = *self.resolve.lock().unwrap_or_else(PoisonError::into_inner);
        let (resolver, host) = (self.clone(), name.to_owned());
        let run = move || {
            let found = resolve(&host).map_err(|error| unresolved(&host, &error));
            resolver.tell(&host, &found);
        };
        let spawned = thread::Builder::new().name("db-resolve".into()).spawn(run);
        if let Err(error) = spawned {
            let why = format!("the system gives no thread to resolve {name}: {error}");
            self.tell(name, &Err(why));
        }
    }

    fn tell(&self, name: &str, found: &Result<Vec<IpAddr>, String>) {
        let told = self.waiting().remove(name).unwrap_or_default();
        for told in told {
            told(found.clone());
        }
    }
}

fn unresolved(name: &str, error: &io::Error) -> String {
    format!("the host name {name} does not resolve: {error}")
}
