//! What knows both SQL and WAMP: how values travel between them. Must not know sockets nor the
//! router.

pub mod types;
