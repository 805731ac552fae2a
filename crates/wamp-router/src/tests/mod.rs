//! Tests of the router as its peers see it: scripts of JSON messages, and random operations.

mod authorization;
mod broker;
mod canceling;
mod concurrency;
mod dealer;
mod deep;
mod lifecycle;
mod random;
mod script;
mod timeouts;
