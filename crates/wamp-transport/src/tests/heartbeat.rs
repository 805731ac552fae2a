//! Who is taken for dead, and who is not.

use super::*;

fn options_with(interval: Duration, timeout: Duration) -> WebSocketOptions {
    WebSocketOptions {
        auto_ping_interval: Some(interval),
        auto_ping_timeout: Some(timeout),
        ..options()
    }
}

#[test]
fn a_client_that_answers_no_ping_is_dropped() {
    let served = serve(options_with(
        Duration::from_millis(10),
        Duration::from_millis(50),
    ));
    let client = served.join();
    served.wait_until(|stats| stats.sessions == 0);
    drop(client);
}

#[test]
fn a_client_that_takes_long_to_read_what_it_is_sent_is_not_taken_for_dead() {
    const LARGE: usize = 15 << 20;
    const TIMEOUT: Duration = Duration::from_secs(2);
    let served = serve(options_with(Duration::from_millis(50), TIMEOUT));
    let publisher = Arc::new(Noted::default());
    let peer: Arc<dyn Peer> = publisher.clone();
    open_local(&served.realm, &peer, wamp::ANONYMOUS, None, &mut []);
    let transport = publisher.transport.lock().unwrap().take().unwrap();
    let event = decode(json!([16, 1, {}, "com.a", ["x".repeat(LARGE)]]));
    let [mut slow, mut other] = [(); 2].map(|()| served.join());
    let small = socket2::SockRef::from(slow.0.get_ref());
    small.set_recv_buffer_size(64 << 10).unwrap();
    slow.send(&json!([32, 1, {}, "com.a"]));
    assert_eq!(slow.receive()[0], 33);
    transport.send(event);

    // A ping waits behind what the kernel has as well, but of that nobody is told. So more than the
    // timeout is to pass before the kernel has the rest: from one ping for the other one to the next
    // a bit.
    let mut stream = slow.0.get_ref().try_clone().unwrap();
    let (began, mut read) = (Instant::now(), vec![0; LARGE]);
    let (slowly, at_once) = read.split_at_mut(LARGE * 2 / 3);
    for part in slowly.chunks_mut(192 << 10) {
        while !matches!(other.0.read().unwrap(), tungstenite::Message::Ping(_)) {}
        stream.read_exact(part).unwrap();
    }
    assert!(began.elapsed() > TIMEOUT);
    stream.read_exact(at_once).unwrap();
    // RFC 6455, 5.5.3: a PONG that nobody has asked for. To look at so much takes time again.
    stream.write_all(&frame(10, b"")).unwrap();
    let role = tungstenite::protocol::Role::Client;
    slow = Client(WebSocket::from_partially_read(stream, read, role, None));
    assert_eq!(
        slow.receive()[4][0].as_str().map(str::len),
        Some(LARGE),
        "it comes whole"
    );
}
