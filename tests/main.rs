//! The black-box tests: the real binary, a real PostgreSQL, real clients. One binary, so that
//! the parts they share are built and started once.
#![allow(
    unreachable_pub,
    reason = "in a test binary pub says what a file offers to the others"
)]

mod architecture;
mod authorizers;
mod autobahn;
mod bench;
mod browser;
mod calling_component;
mod canceling;
mod cli_call;
mod cli_events;
mod cli_register;
mod component;
mod config;
mod connection_limits;
mod container;
#[cfg(feature = "txpostgres")]
mod coroutine_component;
#[cfg(feature = "adbapi")]
mod custom_component;
mod databases;
mod embedded;
mod faults;
mod guards;
mod hello;
mod http;
mod init;
mod libpq;
mod lifecycle;
mod memory;
mod memory_limit;
mod output;
mod packaging;
mod readme;
mod registering_later;
mod restart;
mod scale;
mod sql_describe;
mod sql_errors;
mod sql_explain;
mod sql_functions;
mod sql_identity;
mod sql_install;
mod sql_options;
mod sql_procedures;
mod sql_reload;
mod sql_slow;
mod sql_stream;
mod sql_topics;
mod streaming;
mod support;
mod todo;
mod wamp;
mod websocket;
