//! What the black-box tests of the node use as well: its files are theirs. Owns nothing.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "these tests need less of it, and pub says what a file offers"
)]

#[path = "../../../../tests/support/answer.rs"]
pub mod answer;
#[path = "../../../../tests/support/backends.rs"]
pub(super) mod backends;
#[path = "../../../../tests/support/in_process.rs"]
pub mod in_process;
#[path = "../../../../tests/support/postgres.rs"]
pub mod postgres;
#[path = "../../../../tests/support/wait.rs"]
pub mod wait;
#[path = "../../../../tests/support/websocket.rs"]
pub mod websocket;
