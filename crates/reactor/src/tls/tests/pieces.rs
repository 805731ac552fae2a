//! Input that a protocol works off in pieces, and output that is shared, under TLS.

use super::*;
use crate::scripted::piecemeal;

#[test]
fn input_is_worked_off_in_pieces_and_its_end_is_told_after_them() {
    let served = serve(piecemeal);
    let mut client = blocking_client(served.connect(), client_config());
    let sent = pattern(10_000);
    for part in sent.chunks(100) {
        client.write_all(part).unwrap();
    }
    client.conn.send_close_notify();
    client.flush().unwrap();
    let mut echoed = Vec::new();
    client.read_to_end(&mut echoed).unwrap();
    assert!(echoed == sent, "{} of {}", echoed.len(), sent.len());
    drop(client);
    assert_eq!(served.wait_for_loss(), None);
}

#[test]
fn many_small_records_in_one_read_are_given_to_the_protocol_a_few_an_iteration() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    let served = serve(move || {
        let seen = seen.clone();
        let mut calls = (None, 0);
        move |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::Bytes(bytes) = told {
                io.out().extend_from_slice(bytes);
                if calls.0 != Some(io.now) {
                    calls = (Some(io.now), 0);
                }
                calls.1 += 1;
                seen.fetch_max(calls.1, Ordering::Relaxed);
            }
        }
    });
    let mut client = blocking_client(served.connect(), client_config());
    client.write_all(b"-").unwrap();
    let mut echoed = [0; 1];
    client.read_exact(&mut echoed).unwrap();
    // All in one write, which one read can bring.
    let sent = pattern(1000);
    let mut records = Vec::new();
    for byte in sent.chunks(1) {
        client.conn.writer().write_all(byte).unwrap();
        client.conn.write_tls(&mut records).unwrap();
    }
    client.sock.write_all(&records).unwrap();
    let mut echoed = vec![0; sent.len()];
    client.read_exact(&mut echoed).unwrap();
    assert!(echoed == sent);
    let most = most.load(Ordering::Relaxed);
    assert!(most <= RECORDS_AT_ONCE, "{most} calls in an iteration");
}

#[test]
fn shared_output_is_encrypted_in_its_place() {
    let shared = bytes::Bytes::from(pattern(1 << 20));
    let expected = [b"<", &shared[..], b"|", &shared[..], &shared[1..], b">"].concat();
    let served = serve(move || {
        let shared = shared.clone();
        move |told: Told<'_>, io: &mut Io<'_>| {
            if let Told::Open = told {
                io.out().push(b'<');
                io.send_shared(shared.clone());
                io.out().push(b'|');
                io.send_shared(shared.clone());
                io.send_shared(shared.slice(1..));
                io.out().push(b'>');
                assert_eq!(io.unsent(), 3 * shared.len() + 2);
                io.close();
            }
        }
    });
    let mut client = blocking_client(served.connect(), client_config());
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert!(all == expected, "{} of {}", all.len(), expected.len());
    drop(client);
    assert_eq!(served.wait_for_loss(), None);
}
