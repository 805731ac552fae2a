//! wampgres: a WAMP router, a web server and PostgreSQL components in one process, on plain threads.

pub mod adbapi;
pub mod cli;
pub mod component;
pub mod config;
pub mod embedded;
pub mod http;
pub mod node;
pub mod reactor;
pub mod router;
pub mod transport;
pub mod wamp;
