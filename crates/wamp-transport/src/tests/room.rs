//! Large messages that come while the node holds too much: they wait for room, and for so long only.

use super::*;
use crate::memory::{Held, Purpose};

fn options_with(message_timeout: Duration) -> WebSocketOptions {
    WebSocketOptions {
        message_timeout: Some(message_timeout),
        ..options()
    }
}

fn call(procedure: &str, len: usize) -> Value {
    json!([48, 1, {}, procedure, ["x".repeat(len)]])
}

impl Served {
    /// Lets the node hold so much that no large message finds room.
    fn fill(&self) -> Held {
        self.memory.hold(Purpose::Output, self.memory.most())
    }

    fn wait_until_someone_waits(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.memory.wanted() == 0 {
            assert!(Instant::now() < deadline, "nobody waits");
            thread::yield_now();
        }
    }
}

#[test]
fn a_large_message_waits_for_room_and_what_came_before_it_does_not() {
    let served = serve(options_with(PATIENCE));
    let mut client = served.join();
    let full = served.fill();
    // Both in one go, and another one behind them.
    client
        .0
        .write(tungstenite::Message::text(
            call("com.a.none", 10).to_string(),
        ))
        .unwrap();
    client.send(&call("com.a.none", 1_000_000));
    client.send(&call("com.a.none", 10));
    assert_eq!(client.receive()[0], 8);
    served.wait_until_someone_waits();
    assert_eq!(served.memory.wanted(), 1_000_027);
    // Small ones of others need not wait, and large ones wait behind it.
    let mut other = served.join();
    other.send(&call("com.a.none", 10_000));
    assert_eq!(other.receive()[0], 8);
    assert_eq!(served.memory.let_in(), 0);
    drop(full);
    assert!(!served.memory.has_room(1));
    assert_eq!(served.memory.let_in(), 1);
    assert_eq!(client.receive()[0], 8);
    assert_eq!(client.receive()[0], 8);
    let deadline = Instant::now() + PATIENCE;
    while served.memory.stats().held() > 0 {
        assert!(Instant::now() < deadline, "{:?}", served.memory.stats());
        thread::yield_now();
    }
}

#[test]
fn a_large_message_that_finds_no_room_in_time_is_refused_and_its_client_told() {
    let served = serve(options_with(Duration::from_millis(100)));
    let mut client = served.join();
    let _full = served.fill();
    client.send(&call("com.a.none", 100_000));
    assert_eq!(client.close_code(), CloseCode::Again);
    assert_eq!(served.memory.stats().dropped, 1);
    served.wait_until(|stats| stats.sessions == 0);
}
