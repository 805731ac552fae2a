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
    let clear = &authentication(3, &[])[..];
    let md5 = &authentication(5, &[1, 2, 3, 4])[..];
    let ok = &authentication(0, &[])[..];
    let scram = &authentication(10, SCRAM)[..];
    let no_place = "about authentication where it has no place";
    refused([
        (&[clear, clear], no_place),
        (&[md5, clear], no_place),
        (&[md5, md5], no_place),
        (&[scram, scram], no_place),
        (&[scram, clear], no_place),
        (
            &[scram, ok],
            "before it has proven that it knows the password",
        ),
        (&[&authentication(11, b"r=a")], no_place),
        (&[&authentication(12, b"v=a")], no_place),
        (&[scram, &authentication(12, b"v=AAAA")], no_place),
        (&[&authentication(99, &[])], no_place),
        (&[&ready()], "ready before anybody is logged in"),
        (&[ok, ok], "a message about authentication in a session"),
        (&[&message(b'D', &[0, 0])], "that nobody asked for"),
        (&[&message(b'A', &[0; 6])], "that nobody asked for"),
    ]);
    let mut stranger = Scripted::stranger();
    stranger.hear(&let_in()).unwrap();
    let error = stranger.refuse(ok);
    let why = "authentication in a session";
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn what_is_not_served_and_what_cannot_be_read_is_refused() {
    let scram = &authentication(10, SCRAM)[..];
    refused([
        (
            &[scram, &authentication(11, b"r=forged,s=QUFB,i=4096")],
            "invalid nonce",
        ),
        (
            &[scram, &authentication(11, b"\xff")],
            "authentication error",
        ),
        (
            &[&authentication(10, b"SCRAM-SHA-512\0\0")],
            "unsupported SASL mechanism",
        ),
        (
            &[&authentication(10, b"SCRAM-SHA-256")],
            "shorter than what should be in it",
        ),
        (&[&authentication(5, &[1, 2])], "shorter"),
        (&[&message(b'R', &[0, 0])], "shorter"),
        (&[&authentication(7, &[])], "GSSAPI, which is not served"),
        (&[&authentication(9, &[])], "SSPI, which is not served"),
        (&[&authentication(2, &[])], "Kerberos"),
    ]);
}

/// Each script must be refused by a session that has a password to lose, for this reason.
fn refused<const N: usize>(scripts: [(&[&[u8]], &str); N]) {
    for (script, why) in scripts {
        let mut stranger = Scripted::stranger();
        let error = stranger.refuse(&script.concat());
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains(why), "{error}, not {why}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
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
