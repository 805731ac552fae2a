//! TCP ports for what is started again on the same one.

use std::net::TcpListener;

/// A port of 127.0.0.1 that stays free while nothing listens on it: below those that the kernel
/// hands out to whoever asks for any, connecting clients included.
pub fn reserved() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(10_000..32_000))
        .take(100)
        .find(free)
        .expect("one of a hundred ports is free")
}
