//! The session against real and scripted servers. What they share is `client`'s: a session on a
//! blocking socket; and `script`'s: the messages of a server that is none.

mod authentication;
mod binding;
mod client;
mod hostile;
mod interactions;
mod jobs;
mod logins;
mod pieces;
mod script;
mod statements;
mod streams;
