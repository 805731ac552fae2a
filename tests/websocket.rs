//! WebSocket as RFC 6455 and the options of the configuration have it: how it opens, lives and
//! ends.

mod closing;
mod frames;
mod half_open;
mod opening;
mod timeouts;
