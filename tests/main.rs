//! The black-box tests: the real binary, a real PostgreSQL, real clients. One binary, so that
//! the parts they share are built and started once.

mod autobahn;
mod hello;
pub mod support;
