//! Servers that send garbage, huge lengths, messages out of order, or too much of something: each
//! costs its session, bounded memory and an error that names what came.

use sql::{ErrorKind, types::Type};

use super::{
    super::{Event, Outcome, Work},
    client::query,
    script::{Scripted, answer, described, header, let_in, message, ready, row},
};

#[test]
fn a_length_is_believed_only_as_far_as_bytes_come_for_it() {
    for tag in 0..=255_u8 {
        for length in [0, 3, 70_000, 2_000_000, 0x4000_0005, 0x7fff_ffff, u32::MAX] {
            let mut session = Scripted::with_job();
            let most = match tag {
                b'D' | b'd' | b'E' | b'N' => 0x4000_0004,
                b'T' | b't' => (1 << 20) + 4,
                _ => (64 << 10) + 4,
            };
            let bytes = [header(tag, length), vec![0; 1000]].concat();
            if (4..=most).contains(&length) {
                session.hear(&bytes).unwrap();
                assert!(session.session.reader.capacity() < 10_000);
                assert!(session.session.is_waiting());
            } else {
                let error = session.refuse(&bytes);
                assert_eq!(error.kind(), ErrorKind::ConnectionLost);
                assert!(error.to_string().contains("it sent a message"), "{error}");
            }
        }
    }
}

#[test]
fn garbage_is_refused() {
    // A generator of Marsaglia's: every seed another script.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..2000 {
        let mut session = Scripted::with_job();
        let length = random() % 300;
        let garbage: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        let _ = session.hear(&garbage);
        // Messages that are in order but for one byte.
        let mut session = Scripted::with_job();
        let mut bytes = answer(7);
        let at = random() as usize % bytes.len();
        bytes[at] = random() as u8;
        if session.hear(&bytes).is_ok() && session.session.head().is_none() {
            assert!(matches!(
                session.events[..],
                [.., Event::Done(1, _)] | [Event::Done(1, _), ..]
            ));
        }
    }
}

/// Each script, sent to a job, must end its session, and the error name why.
fn refused<const N: usize>(scripts: [(&[&[u8]], &str); N]) {
    for (script, why) in scripts {
        let mut session = Scripted::with_job();
        let error = session.refuse(&script.concat());
        assert_eq!(error.kind(), ErrorKind::ConnectionLost);
        assert!(error.to_string().contains(why), "{error}, not {why}");
    }
}

#[test]
fn what_is_out_of_order_is_named() {
    let described = &described(&[0, 0], Type::INT4.oid())[..];
    let done = &message(b'C', b"SELECT 1\0")[..];
    let (ready, row, answer) = (&ready()[..], &row(1)[..], &answer(1)[..]);
    let empty = |tag| message(tag, b"");
    refused([
        (&[ready], "that it is ready before it has answered"),
        (&[done], "a message 'C' where it has no place"),
        (&[row], "a message 'D' where it has no place"),
        (&[described, ready], "ready before"),
        (&[described, &empty(b'2')], "a message '2' where"),
        (&[described, row, &empty(b'1')], "a message '1' where"),
        (&[described, done, row], "a message 'D' where"),
        (&[described, &empty(b's')], "that rows are left"),
        (&[answer, ready], "ready before"),
        (&[answer, done], "that nobody asked for"),
        (&[&message(b'K', &[0; 8])], "a message 'K' where"),
        (&[&message(b'W', &[0, 0, 0])], "a message 'W' where"),
        (&[&empty(0)], "a message 0x00 where"),
    ]);
}

#[test]
fn what_does_not_fit_its_message_is_refused() {
    let described = &described(&[0, 0], Type::INT4.oid())[..];
    let done = &message(b'C', b"SELECT 1\0")[..];
    let parsed = &message(b'1', b"")[..];
    let row = |body: &[u8]| message(b'D', body);
    let (status, false_length) = (|status| message(b'Z', status), "a value of a false length");
    refused([
        (
            &[described, &row(&[0, 2, 0, 0, 0, 0])],
            "more or fewer values than columns",
        ),
        (&[described, &row(&[0, 1, 0, 0, 0, 9, 1])], false_length),
        (
            &[described, &row(&[0, 1, 255, 255, 255, 254])],
            false_length,
        ),
        (
            &[described, &row(&[0, 1, 255, 255, 255, 255, 0])],
            "longer than what is in it",
        ),
        (
            &[described, &row(&[0])],
            "shorter than what should be in it",
        ),
        (&[described, &message(b'C', b"SELECT 1")], "shorter"),
        (&[parsed, &message(b't', &[0, 1, 0, 0])], "shorter"),
        (
            &[
                parsed,
                &message(b't', &[0, 0]),
                &message(b'T', &[0, 1, b'a']),
            ],
            "shorter",
        ),
        (
            &[described, done, &status(b"X")],
            "a transaction status that there is not",
        ),
        (
            &[described, done, &status(b"T")],
            "has left a transaction open",
        ),
    ]);
}

#[test]
fn a_session_that_the_server_ends_has_its_report() {
    let fatal = message(b'E', b"SERROR\0VFATAL\0C57P01\0Mgone\0\0");
    let idle = message(b'E', b"SERROR\0VERROR\0C12345\0Mgone\0\0");
    refused([
        (&[&fatal], "ERROR: gone (SQLSTATE 57P01)"),
        (&[&answer(1), &idle], "ERROR: gone (SQLSTATE 12345)"),
    ]);
    let mut stranger = Scripted::stranger();
    let error = stranger.refuse(&message(b'E', b"SFATAL\0VFATAL\0C53300\0Mtoo many\0\0"));
    let told = (error.kind(), error.sqlstate());
    assert_eq!(told, (ErrorKind::Unavailable, Some("53300")));
}

#[test]
fn a_million_notices_take_bounded_memory() {
    let mut session = Scripted::with_job();
    let notice = message(b'N', b"SNOTICE\0C00000\0Mhear, hear\0\0");
    let many: Vec<u8> = notice
        .iter()
        .copied()
        .cycle()
        .take(notice.len() * 1000)
        .collect();
    let mut told = 0;
    for _ in 0..1000 {
        for piece in many.chunks(64 << 10) {
            session.hear(piece).unwrap();
            assert!(session.events.len() <= 51);
            for event in session.events.drain(..) {
                told += match event {
                    Event::Notice { of_head: true, .. } => 1,
                    Event::NoticesLeftOut(count) => count,
                    other => panic!("{other:?}"),
                };
            }
            assert!(session.session.reader.capacity() < 1000);
        }
    }
    assert_eq!(told, 1_000_000);
    assert!(session.out.len() < 1000);
    session.hear(&answer(7)).unwrap();
    assert!(matches!(session.events[..], [Event::Done(1, Ok(_))]));
}

#[test]
fn parameters_and_the_rows_of_a_script_have_a_bound() {
    let mut session = Scripted::with_job();
    let many = (0..300).flat_map(|n| message(b'S', format!("p{n}\0x\0").as_bytes()));
    let error = session.refuse(&many.collect::<Vec<_>>());
    assert!(error.to_string().contains("more parameters"), "{error}");

    let mut session = Scripted::stranger();
    session.hear(&let_in()).unwrap();
    session
        .session
        .send(1, Work::Simple("SELECT 1".into()), &mut session.out);
    let many: Vec<u8> = (0..10_001).flat_map(row).collect();
    let error = session.refuse(&many);
    assert!(
        error
            .to_string()
            .contains("more rows than a script may give"),
        "{error}"
    );
}

/// A server that refuses all that is prepared, as often as it is sent again.
#[test]
fn nothing_is_sent_again_for_ever() {
    for refusal in [
        &b"SERROR\0VERROR\0C0A000\0Mchanged\0RRevalidateCachedQuery\0\0"[..],
        b"SERROR\0VERROR\0C26000\0Mgone\0\0",
    ] {
        let mut session = Scripted::with_job();
        session.hear(&answer(7)).unwrap();
        session.events.clear();
        let job = Work::Job(query("SELECT a").into());
        session.session.send(2, job, &mut session.out);
        let mut rounds = 0;
        while session.session.in_flight() > 0 {
            rounds += 1;
            assert!(rounds < 10);
            // Once the statement is prepared anew, that is answered first.
            let is_bind = matches!(
                session.session.wire.steps.front(),
                Some(super::super::entry::Step::Bound(_))
            );
            let mut script = Vec::new();
            if !is_bind {
                let close = matches!(
                    session.session.wire.steps.front(),
                    Some(super::super::entry::Step::Closed)
                );
                script.extend(close.then(|| message(b'3', b"")).into_iter().flatten());
                let all = described(&[0, 0], Type::INT4.oid());
                script.extend(&all[..all.len() - 5]);
            }
            script.extend(message(b'E', refusal));
            script.extend(ready());
            session.hear(&script).unwrap();
        }
        let Some(Event::Done(2, Err(error))) = session.events.pop() else {
            panic!("{:?}", session.events);
        };
        assert_eq!(error.kind(), ErrorKind::Database);
    }
}

/// A type that contains itself, which PostgreSQL cannot have, and one that is not there.
#[test]
fn a_type_without_an_end_has_one() {
    let column = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let oid = |oid: u32| column(&oid.to_be_bytes());
    let array = column(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25]);
    let oids = column(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 26]);
    let made = [
        vec![0, 11],
        oid(90_000),
        column(b"ring"),
        column(b"b"),
        column(b"public"),
        oid(90_000),
        oid(0),
        oid(0),
        vec![255; 4],
        array.clone(),
        array,
        oids,
    ]
    .concat();
    for rows in [vec![message(b'D', &made)], vec![]] {
        let mut session = Scripted::with_job();
        let all = described(&[0, 0], 90_000);
        session.hear(&all[..all.len() - 5]).unwrap();
        let bound = [message(b'1', b""), message(b'2', b"")].concat();
        let done = message(b'C', b"SELECT 1\0");
        session
            .hear(&[bound, rows.concat(), done.clone()].concat())
            .unwrap();
        let rest = [message(b'2', b""), row(7), done, ready()].concat();
        session.hear(&rest).unwrap();
        let Some(Event::Done(1, Ok(Outcome::Results(results)))) = session.events.pop() else {
            panic!("{:?}", session.events);
        };
        assert_eq!(
            results.first.columns().next().unwrap().r#type.name(),
            "90000"
        );
    }
}
