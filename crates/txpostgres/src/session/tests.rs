//! The session against real and scripted servers. What they share is `client`'s: a session on a
//! blocking socket.

mod client;
mod interactions;
mod jobs;
mod logins;
mod statements;
mod streams;
