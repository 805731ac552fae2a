//! Servers that prove nothing, ask for what is not served, or ask for ever.

use sql::{ChannelBinding, ErrorKind};

use super::{
    client::{USER, login},
    script::{Scripted, authentication, let_in, message, ready},
};

const SCRAM: &[u8] = b"SCRAM-SHA-256\0\0";
const BOTH: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";

#[test]
fn each_message_has_its_place() {
    let clear = authentication(3, &[]);
    let md5 = authentication(5, &[1, 2, 3, 4]);
    let ok = authentication(0, &[]);
    let scram = authentication(10, SCRAM);
    for (script, why) in [
        (
            vec![clear.clone(), clear.clone()],
            "message 3 about authentication where it has no place",
        ),
        (vec![md5.clone(), clear.clone()], "no place"),
        (vec![md5.clone(), md5.clone()], "no place"),
        (vec![scram.clone(), scram.clone()], "no place"),
        (vec![scram.clone(), clear.clone()], "no place"),
        (
            vec![scram.clone(), ok.clone()],
            "before it has proven that it knows the password",
        ),
        (vec![authentication(11, b"r=a")], "no place"),
        (vec![authentication(12, b"v=a")], "no place"),
        (
            vec![scram.clone(), authentication(11, b"r=forged,s=QUFB,i=4096")],
            "invalid nonce",
        ),
        (
            vec![scram.clone(), authentication(11, b"\xff")],
            "authentication error",
        ),
        (
            vec![scram.clone(), authentication(12, b"v=AAAA")],
            "no place",
        ),
        (
            vec![authentication(10, b"SCRAM-SHA-512\0\0")],
            "unsupported SASL mechanism",
        ),
        (
            vec![authentication(10, b"SCRAM-SHA-256")],
            "shorter than what should be in it",
        ),
        (vec![authentication(5, &[1, 2])], "shorter"),
        (vec![message(b'R', &[0, 0])], "shorter"),
        (vec![authentication(99, &[])], "message 99"),
        (vec![authentication(7, &[])], "GSSAPI, which is not served"),
        (vec![authentication(9, &[])], "SSPI, which is not served"),
        (vec![authentication(2, &[])], "Kerberos"),
        (vec![ready()], "ready before anybody is logged in"),
        (
            vec![ok.clone(), ok.clone()],
            "a message about authentication in a session",
        ),
        (vec![message(b'D', &[0, 0])], "that nobody asked for"),
        (
            vec![message(b'A', &[0, 0, 0, 0, 0, 0])],
            "that nobody asked for",
        ),
    ] {
        let mut stranger = Scripted::stranger();
        let error = stranger.refuse(&script.concat());
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains(why), "{error}, not {why}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    let mut stranger = Scripted::stranger();
    stranger.hear(&let_in()).unwrap();
    let error = stranger.refuse(&ok);
    assert!(
        error.to_string().contains("authentication in a session"),
        "{error}"
    );
}

#[test]
fn nobody_is_kept_waiting_by_messages_that_never_end() {
    let notice = message(b'N', b"SNOTICE\0\0");
    let parameter = |n: u32| message(b'S', format!("p{}\0x\0", n % 5).as_bytes());
    for script in [
        (0..2000).flat_map(|_| notice.clone()).collect::<Vec<_>>(),
        (0..2000).flat_map(parameter).collect(),
    ] {
        let error = Scripted::stranger().refuse(&script);
        assert!(
            error.to_string().contains("more than 1000 messages"),
            "{error}"
        );
    }
}

#[test]
fn a_password_is_given_to_nobody_who_does_not_bind_the_channel_where_that_is_required() {
    for offer in [
        authentication(3, &[]),
        authentication(5, &[1, 2, 3, 4]),
        authentication(10, SCRAM),
        authentication(0, &[]),
    ] {
        for binding in [None, Some(vec![7; 32])] {
            let mut login = login(USER);
            login.password = Some(sql::Password::new("hunter2"));
            login.channel_binding = ChannelBinding::Require;
            (login.is_encrypted, login.binding) = (true, binding);
            let mut stranger = Scripted::new(login);
            let error = stranger.refuse(&offer);
            let why = "server did not use channel binding";
            assert!(error.to_string().contains(why), "{error}");
            assert!(stranger.out.is_empty(), "something was sent");
        }
    }
}

/// The flag that SCRAM protects: p binds; y says that this side could, so that a server whose offer
/// somebody has cut notices; n says that it cannot.
#[test]
fn the_server_is_told_whether_this_side_could_bind() {
    use ChannelBinding::{Disable, Prefer};
    for (offer, wanted, binding, expected) in [
        (
            BOTH,
            Prefer,
            true,
            ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,"),
        ),
        (SCRAM, Prefer, true, ("SCRAM-SHA-256", "y,,")),
        (BOTH, Prefer, false, ("SCRAM-SHA-256", "n,,")),
        (SCRAM, Prefer, false, ("SCRAM-SHA-256", "n,,")),
        (BOTH, Disable, true, ("SCRAM-SHA-256", "n,,")),
    ] {
        let mut login = login(USER);
        login.password = Some(sql::Password::new("hunter2"));
        login.channel_binding = wanted;
        login.is_encrypted = true;
        login.binding = binding.then(|| vec![7; 32]);
        let mut stranger = Scripted::new(login);
        stranger.hear(&authentication(10, offer)).unwrap();
        let sent = String::from_utf8_lossy(&stranger.out[5..]).into_owned();
        let (mechanism, rest) = sent.split_once('\0').unwrap();
        assert_eq!(mechanism, expected.0);
        assert!(rest[4..].starts_with(expected.1), "{rest}");
    }
    let error = Scripted::stranger().refuse(&authentication(10, BOTH));
    assert!(
        error
            .to_string()
            .contains("without a channel that is encrypted"),
        "{error}"
    );
}
