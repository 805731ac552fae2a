//! Tests of the router as its peers see it: scripts of JSON messages, and random operations.

mod authorization;
mod authorizers;
mod broker;
mod canceling;
mod concurrency;
mod dealer;
mod deep;
mod guards;
mod leaving;
mod lifecycle;
mod progress;
mod random;
mod receivers;
mod script;
mod shares;
mod takeover;
mod timeouts;
mod uris;
