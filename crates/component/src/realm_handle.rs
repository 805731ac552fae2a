//! What a component may ask of its realm that no message of WAMP asks. Must not know routers.

use std::{fmt, sync::Arc};

use super::sql::Descriptions;
use wamp::{Identity, Uri};

type MayCall = dyn Fn(&Identity, &Uri) -> bool + Send + Sync;

/// The realm that a component joins: what may be asked about it, and what the components of this
/// process on it have in common. Cheap to clone. The default is a realm of another router, of which
/// nothing is known here.
#[derive(Clone, Default)]
pub struct RealmHandle {
    may_call: Option<Arc<MayCall>>,
    pub(super) descriptions: Arc<Descriptions>,
}

impl RealmHandle {
    /// A realm of this process, with its way to tell whether a session may call a procedure.
    pub fn new(may_call: impl Fn(&Identity, &Uri) -> bool + Send + Sync + 'static) -> Self {
        Self {
            may_call: Some(Arc::new(may_call)),
            descriptions: Arc::default(),
        }
    }

    /// Whether its router is in this process.
    pub fn is_here(&self) -> bool {
        self.may_call.is_some()
    }

    /// Whether the permissions of its role let a session call a procedure. `None` on another router,
    /// which alone knows.
    pub fn may_call(&self, caller: &Identity, procedure: &Uri) -> Option<bool> {
        Some(self.may_call.as_ref()?(caller, procedure))
    }
}

impl fmt::Debug for RealmHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_here = self.is_here();
        f.debug_struct("RealmHandle")
            .field("is_here", &is_here)
            .finish()
    }
}
