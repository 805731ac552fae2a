//! What a connection takes while nothing happens on it.

use crate::{session::Session, web_connection::WebConnection};

#[test]
fn an_idle_session_takes_little() {
    // jemalloc's next larger sizes are 96 and 640.
    assert!(size_of::<WebConnection>() <= 80);
    assert!(size_of::<Session>() <= 512);
}
