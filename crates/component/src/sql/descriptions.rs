//! Owns `wampgres.describe`: the procedures in SQL of a realm, as those see them who may call them. Must
//! not know how a procedure is described.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wamp::{Identity, Uri};

use super::{
    super::{
        Answer, Deferred, Error, Invocation, Promise, RealmHandle, RegistrationHandle, Reply,
        SessionHandle, deferred,
    },
    procedure::{Procedure, ProcedureDescription, Unprepared},
    target::Target,
};

/// What the procedure is called that describes the others, unless the configuration says otherwise.
pub const DESCRIBE: &str = "wampgres.describe";

/// Gives the procedures that a component has now.
pub(super) type List = Arc<dyn Fn() -> Vec<Target> + Send + Sync>;

/// What is described in a realm, by the URIs of the procedures that do it.
#[derive(Default)]
pub(crate) struct Descriptions(Mutex<HashMap<Uri, Described>>);

#[derive(Default)]
struct Described {
    /// Those of each component.
    lists: Vec<List>,
    registration: Option<RegistrationHandle>,
}

/// Has the procedure `uri` of a realm describe those of one more component. The first component
/// registers it that may.
pub(super) fn describe_at(uri: Uri, list: List, session: &SessionHandle, realm: &RealmHandle) {
    let descriptions = realm.descriptions.clone();
    let is_registered = {
        let mut all = descriptions.lock();
        let described = all.entry(uri.clone()).or_default();
        described.lists.push(list);
        described.registration.is_some()
    };
    if is_registered {
        return;
    }
    let describing = {
        let (uri, realm) = (uri.clone(), realm.clone());
        move |call: Invocation| describe(&uri, &realm, &call)
    };
    // It may ask PostgreSQL for all that it has not described yet.
    let one = NonZeroU64::MIN;
    let procedure = super::super::Procedure::function(uri.clone(), describing).concurrency(one);
    session.register(procedure).on_result(move |result| match result {
        Ok(handle) => {
            let mut all = descriptions.lock();
            all.entry(uri).or_default().registration = Some(handle);
        }
        Err(error) => {
            tracing::info!(target: crate::LOG, %error, "{uri} is not registered, so that nobody can ask what procedures there are: let the component's role register it, name another by extra.describe, or say false there");
        }
    });
}

impl Descriptions {
    /// All procedures that `uri` describes, by their URIs.
    fn list(&self, uri: &Uri) -> Vec<Target> {
        let lists = {
            let all = self.lock();
            all.get(uri)
                .map_or_else(Vec::new, |described| described.lists.clone())
        };
        let mut targets: Vec<_> = lists.iter().flat_map(|list| list()).collect();
        targets.sort_by(|a, b| a.uri().cmp(b.uri()));
        targets
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uri, Described>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a call with the procedures that its caller may call: all, or those whose URIs begin with
/// the only argument.
fn describe(uri: &Uri, realm: &RealmHandle, call: &Invocation) -> Answer {
    let prefix = prefix_of(call)?;
    let mut targets = realm.descriptions.list(uri);
    targets.retain(|target| {
        let uri = target.uri();
        uri.as_str().starts_with(&prefix) && is_for(realm, call.identity(), uri)
    });
    Reply::later(describe_all(targets))
}

/// Whether a caller may call a procedure. Another router keeps that to itself, so there it is a matter
/// of who may call the describing procedure.
fn is_for(realm: &RealmHandle, caller: Option<&Identity>, procedure: &Uri) -> bool {
    match caller {
        Some(caller) => realm.may_call(caller, procedure).unwrap_or(true),
        None => !realm.is_here(),
    }
}

fn prefix_of(call: &Invocation) -> Result<String, Error> {
    let args: Vec<String> = call.args()?;
    match args.as_slice() {
        [] => Ok(String::new()),
        [prefix] => Ok(prefix.clone()),
        _ => Err(Error::invalid_argument(
            "the only argument is what the URIs of the procedures begin with",
        )),
    }
}

/// Describes procedures, after having PostgreSQL describe those that it has not yet.
pub(super) fn describe_all(targets: Vec<Target>) -> Deferred<Vec<ProcedureDescription>> {
    let (promise, deferred) = deferred();
    let procedures = targets.iter().flat_map(Target::procedures);
    let mut unprepared: Vec<_> = procedures
        .filter(|procedure| !procedure.is_prepared())
        .collect();
    unprepared.reverse();
    Describing {
        targets,
        unprepared,
        promise,
    }
    .next();
    deferred
}

struct Describing {
    targets: Vec<Target>,
    /// The next one last.
    unprepared: Vec<Arc<Procedure>>,
    promise: Promise<Vec<ProcedureDescription>>,
}

impl Describing {
    fn next(mut self) {
        let Some(procedure) = self.unprepared.pop() else {
            let all = self.targets.iter().flat_map(Target::describe);
            return self.promise.resolve(Ok(all.collect()));
        };
        procedure.prepare(move |result| {
            if let Err(Unprepared::Unavailable(_)) = result {
                // It would be so for the others too.
                self.unprepared.clear();
            }
            self.next();
        });
    }
}
