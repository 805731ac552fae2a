//! PostgreSQL connections on non-blocking sockets inside a reactor, pipelined. Must not know WAMP,
//! JSON nor the configuration, and has no async runtime.
