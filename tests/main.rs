//! The black-box tests: the real binary, a real PostgreSQL, real clients. One binary, so that
//! the parts they share are built and started once.

mod autobahn;
mod browser;
mod component;
mod container;
mod custom_component;
mod embedded;
mod hello;
pub mod support;
