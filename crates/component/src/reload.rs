//! Owns how a component asks to be reloaded. Must not know who does it.

use std::{fmt, sync::Arc};

/// Asks the node to reload a component: to call its [`on_reload`](super::Component::on_reload) soon, on
/// a thread where that may block. Several requests shortly after each other are one. Cheap to clone, and
/// to be used from any thread.
///
/// What a test makes by default reloads nothing.
#[derive(Clone, Default)]
pub struct ReloadHandle(Option<Arc<dyn Fn() + Send + Sync>>);

impl ReloadHandle {
    /// A handle that does this, which must not block.
    pub fn new(request: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(request)))
    }

    /// Asks for it. Does not block.
    pub fn request(&self) {
        if let Some(request) = &self.0 {
            request();
        }
    }
}

impl fmt::Debug for ReloadHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadHandle").finish_non_exhaustive()
    }
}
