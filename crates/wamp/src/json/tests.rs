//! The JSON encoding: every message there and back, and every way to get one wrong.

use super::*;
use crate::{RequestId, RpcFeatures, Welcome, WelcomeDetails};

fn round_trip(text: &str) {
    let message = decode(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
    let written = Serializer::Json.encode(&message);
    assert_eq!(String::from_utf8(written).unwrap(), text);
}

#[test]
fn every_message_survives_a_round_trip() {
    for text in [
        r#"[1,"realm1",{"roles":{"caller":{},"subscriber":{}},"agent":"x"}]"#,
        r#"[1,"realm1",{"roles":{"caller":{"features":{"call_timeout":true}},"callee":{"features":{"call_canceling":true}},"publisher":{}}}]"#,
        r#"[1,"realm1",{"roles":{"callee":{"features":{"call_canceling":true,"caller_identification":true,"_interrupt_on_skip":true}}}}]"#,
        r#"[3,{"message":"no"},"wamp.error.no_such_realm"]"#,
        r#"[6,{},"wamp.close.goodbye_and_out"]"#,
        r#"[8,48,7,{},"com.example.failed",["why"],{"n":1}]"#,
        r#"[8,68,7,{},"com.example.failed"]"#,
        r#"[16,1,{"acknowledge":true,"exclude_me":false},"a.b",[1]]"#,
        r#"[16,1,{"acknowledge":false,"exclude_me":true,"disclose_me":true,"eligible":[1,9007199254740992],"eligible_authid":["a"],"eligible_authrole":[],"exclude":[7],"exclude_authid":["b","ü"],"exclude_authrole":["c"]},"a.b"]"#,
        r#"[17,1,2]"#,
        r#"[32,1,{},"a.b"]"#,
        r#"[33,1,2]"#,
        r#"[34,1,2]"#,
        r#"[35,1]"#,
        r#"[35,0,{"subscription":7}]"#,
        r#"[35,0,{"subscription":7,"reason":"no longer authorized"}]"#,
        r#"[36,1,2,{},[{"deep":[1, 2]}],{"k": null}]"#,
        r#"[36,1,2,{"publisher":9,"publisher_authid":"p","publisher_authrole":"r"}]"#,
        r#"[48,9007199254740992,{},"a.b",[],{"k":"ü\u0000"}]"#,
        r#"[48,1,{"timeout":2500},"a.b"]"#,
        r#"[48,1,{"receive_progress":true,"disclose_me":true},"a.b"]"#,
        r#"[49,1,{"mode":"skip"}]"#,
        r#"[49,1,{"mode":"kill"}]"#,
        r#"[49,1,{"mode":"killnowait"}]"#,
        r#"[50,1,{},["2026-11-22 11:00:41.123456+00:00"]]"#,
        r#"[50,1,{"progress":true},[1]]"#,
        r#"[64,1,{},"a.b"]"#,
        r#"[64,1,{"force_reregister":true},"a.b"]"#,
        r#"[64,1,{"match":"exact","invoke":"single","concurrency":3},"a.b"]"#,
        r#"[65,1,2]"#,
        r#"[66,1,2]"#,
        r#"[67,1]"#,
        r#"[67,0,{"registration":7}]"#,
        r#"[67,0,{"registration":7,"reason":"wamp.error.unregistered"}]"#,
        r#"[68,1,2,{"caller":3,"caller_authid":"p","caller_authrole":"r"},[1]]"#,
        r#"[68,1,2,{"timeout":2500}]"#,
        r#"[68,1,2,{"receive_progress":true}]"#,
        r#"[69,1,{"mode":"kill","reason":"wamp.error.timeout"}]"#,
        r#"[69,1,{"mode":"killnowait"}]"#,
        r#"[70,1,{},[1.0,1e3,-0.0]]"#,
        r#"[70,1,{"progress":true}]"#,
    ] {
        round_trip(text);
    }
}

#[test]
fn white_space_and_unknown_options_are_accepted() {
    let text = " [ 48 , 1 , { \"x_unknown\" : [ { } ] , \"timeout\" : 0 } , \"a\" , [ 1 ] ] ";
    let Message::Call(call) = decode(text.as_bytes()).unwrap() else {
        panic!("not a call")
    };
    assert_eq!(call.payload.raw(), (&b"[ 1 ]"[..], None));
}

#[test]
fn welcome_announces_broker_and_dealer() {
    let welcome = Welcome {
        session: crate::SessionId::new(5).unwrap(),
        details: WelcomeDetails {
            authrole: "anonymous".into(),
            ..Default::default()
        }
        .into(),
    };
    let text = Serializer::Json.encode(&welcome.into());
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        value[2]["roles"],
        serde_json::json!({
            "broker": {"features": {
                "publisher_exclusion": true,
                "publisher_identification": true,
                "subscriber_blackwhite_listing": true,
            }},
            "dealer": {"features": {
                "call_canceling": true,
                "call_timeout": true,
                "caller_identification": true,
                "progressive_call_results": true,
                "registration_revocation": true,
            }},
        })
    );
    assert_eq!(value[2]["authrole"], "anonymous");
}

#[test]
fn roles_are_announced_with_or_without_features() {
    let roles = |text: &str| {
        let hello = format!(r#"[1,"realm1",{{"roles":{text}}}]"#);
        match decode(hello.as_bytes()) {
            Ok(Message::Hello(hello)) => hello.details.roles,
            other => panic!("{text}: {other:?}"),
        }
    };
    let canceling = RpcFeatures {
        call_canceling: true,
        ..RpcFeatures::NONE
    };
    for (text, features) in [
        ("{}", None),
        (r#"{"caller":{}}"#, None),
        (r#"{"callee":{}}"#, Some(RpcFeatures::NONE)),
        (r#"{"callee":{"features":{}}}"#, Some(RpcFeatures::NONE)),
        (
            r#"{"callee":{"features":{"call_canceling":true,"x_unknown":[1]},"x_unknown":1}}"#,
            Some(canceling),
        ),
        (
            r#"{"callee":{"features":{"call_canceling":true,"call_timeout":false}}}"#,
            Some(canceling),
        ),
        (
            r#"{"callee":{"features":{"call_canceling":true,"call_timeout":true}}}"#,
            Some(RpcFeatures {
                call_timeout: true,
                ..canceling
            }),
        ),
    ] {
        assert_eq!(roles(text).callee, features, "{text}");
    }
    let callers = r#"{"caller":{"features":{"call_canceling":true}},"callee":{}}"#;
    assert_eq!(roles(callers).caller, Some(canceling));
}

#[test]
fn an_abort_is_one_in_all_its_forms_and_in_none() {
    for (text, words) in [
        (r#"[3,{"message":"why"},"a.b"]"#, "why"),
        (r#"[3,{"message":"why"},"a.b",["more"]]"#, "why"),
        (r#"[3,{"message":"why"},"a.b",["more"],{"k":1}]"#, "why"),
        ("[3]", "Details|dict is missing"),
        ("[3,{}]", "Reason|uri is missing"),
        (r#"[3,"a.b",{}]"#, "expected a dictionary"),
        ("[3", "EOF"),
    ] {
        let Ok(Message::Abort(abort)) = decode(text.as_bytes()) else {
            panic!("{text}: not an ABORT")
        };
        let message = abort.details.message.expect("a message");
        assert!(message.contains(words), "{text}: {message}");
    }
}

#[test]
fn an_invocation_is_known_by_its_id_whatever_comes_after_it() {
    let deep = format!("{}{}", "[".repeat(513), "]".repeat(513));
    for rest in [
        "",
        ",0,{}]",
        ",1,[]]",
        r#",1,{"caller":"me"}]"#,
        r#",1,{},"ciphertext"]"#,
        r#",1,{},[],{},1]"#,
        &format!(",1,{{}},{deep}]"),
    ] {
        let text = format!("[68,7{rest}");
        let error = decode(text.as_bytes()).expect_err(&text);
        assert_eq!(error.invocation(), RequestId::new(7), "{text}");
    }
    for text in ["[68]", "[68,0,1,{}]", "[70,7,[]]", "[36,7,1,[]]"] {
        let error = decode(text.as_bytes()).expect_err(text);
        assert_eq!(error.invocation(), None, "{text}");
    }
}

#[test]
fn a_timeout_that_is_out_of_range_does_not_spoil_its_invocation() {
    for timeout in ["18446744073709551616", "1e300", "-1", "2.5", "0", "null"] {
        let text = format!(r#"[68,1,2,{{"timeout":{timeout}}}]"#);
        let Ok(Message::Invocation(invocation)) = decode(text.as_bytes()) else {
            panic!("{text}: not an INVOCATION")
        };
        assert_eq!(invocation.details.timeout, None, "{text}");
    }
}

#[test]
fn options_that_are_left_out_have_their_defaults() {
    for (text, written) in [
        (r#"[48,1,{},"a"]"#, r#"[48,1,{},"a"]"#),
        (r#"[48,1,{"timeout":0},"a"]"#, r#"[48,1,{},"a"]"#),
        ("[49,1,{}]", r#"[49,1,{"mode":"killnowait"}]"#),
        ("[69,1,{}]", r#"[69,1,{"mode":"killnowait"}]"#),
    ] {
        let message = decode(text.as_bytes()).unwrap();
        let encoded = Serializer::Json.encode(&message);
        assert_eq!(String::from_utf8(encoded).unwrap(), written, "{text}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn offences_are_named() {
    for (text, words) in [
        ("", "EOF"),
        ("{}", "a WAMP message, which is a list"),
        ("[]", "MessageType|integer is missing"),
        ("[4711]", "no message of type 4711"),
        ("[\"48\"]", "invalid type: string"),
        (
            "[48]",
            "invalid CALL message: the element Request|id is missing",
        ),
        ("[48,0,{},\"a\"]", "the id 0 is not between 1 and"),
        ("[48,9007199254740993,{},\"a\"]", "not between 1 and"),
        (
            "[48,-1,{},\"a\"]",
            "invalid CALL message: invalid value: integer `-1`",
        ),
        ("[48,1.5,{},\"a\"]", "floating point"),
        ("[48,1,[],\"a\"]", "invalid CALL message: "),
        ("[48,1,{},7]", "a URI string"),
        ("[48,1,{},\"a\",{}]", "Arguments must be a list"),
        ("[48,1,{},\"a\",[],[]]", "ArgumentsKw must be a dictionary"),
        ("[48,1,{},\"a\",[],{},1]", "more elements"),
        ("[48,1,{},\"a\"", "invalid CALL message: EOF"),
        ("[48,1,{},\"a\"] x", "trailing characters"),
        (
            "[8,50,1,{},\"a\"]",
            "REQUEST.Type 50 is not a request that can fail",
        ),
        (
            "[16,1,{\"ppt_scheme\":\"x_mine\"},\"a\",[1]]",
            "invalid PUBLISH message: the option ppt_scheme is not served",
        ),
        (
            "[48,1,{\"ppt_scheme\":\"x_mine\"},\"a\",[1]]",
            "invalid CALL message: the option ppt_scheme is not served",
        ),
        (
            "[70,1,{\"ppt_serializer\":\"cbor\"},[1]]",
            "invalid YIELD message: the option ppt_serializer is not served",
        ),
        (
            "[8,68,1,{\"ppt_cipher\":\"c\"},\"a\",[1]]",
            "invalid ERROR message: the option ppt_cipher is not served",
        ),
        ("[70,1,{\"progress\":1}]", "expected a boolean"),
        ("[67,0]", "Details|dict is missing"),
        ("[67,0,{}]", "missing field `registration`"),
        (
            "[49,1,{\"mode\":\"murder\"}]",
            "invalid CANCEL message: unknown variant `murder`, expected one of `skip`, \
             `kill`, `killnowait`",
        ),
        ("[49,1]", "invalid CANCEL message: the element Options|dict"),
        (
            "[1,\"realm1\",{\"roles\":{\"callee\":{\"features\":{\"call_timeout\":1}}}}]",
            "expected a boolean",
        ),
        (
            "[1,\"realm1\",{\"roles\":{\"callee\":{\"features\":[]}}}]",
            "a dictionary",
        ),
        (
            "[1,\"realm1\",{\"roles\":{\"caller\":true}}]",
            "invalid HELLO message",
        ),
    ] {
        let error = decode(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

/// The name of the bad option in a request's options, and whether it is invalid or not served.
fn bad(text: &str) -> Option<(&'static str, bool)> {
    let message = decode(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
    let bad = match &message {
        Message::Call(m) => m.options.bad.clone(),
        Message::Register(m) => m.options.bad.clone(),
        Message::Subscribe(m) => m.options.bad.clone(),
        Message::Publish(m) => m.options.bad.clone(),
        other => panic!("{other:?} has no options to refuse it for"),
    };
    bad.map(|bad| (bad.option, bad.invalid.is_some()))
}

#[test]
fn no_option_that_changes_what_happens_is_ignored() {
    // The options of the specification and of Crossbar.io that are not served.
    for (code, options) in [
        (16, &["retain", "rkey", "forward_for", "enc_algo"][..]),
        (32, &["get_retained", "nkey", "forward_for"]),
        (
            48,
            &["progress", "runmode", "rkey", "forward_for", "enc_algo"],
        ),
        (64, &["disclose_caller", "nkey", "forward_for"]),
    ] {
        for option in options {
            for (value, is_asked_for) in [
                ("true", true),
                (r#""x""#, true),
                (r#"[{"session":1}]"#, true),
                ("7", true),
                ("{}", true),
                ("false", false),
                ("null", false),
                (r#""""#, false),
                ("[]", false),
            ] {
                let text = format!(r#"[{code},1,{{"{option}":{value}}},"a"]"#);
                assert_eq!(
                    bad(&text),
                    is_asked_for.then_some((*option, false)),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn options_of_the_wrong_type_are_noted() {
    let (flag, number) = (r#"1 "true" null [] {}"#, r#"-1 1.5 "1s" true null"#);
    let (ids, texts) = (
        r#"1 "1" null {} [0] [-1] [1.5] ["1"] [9007199254740993] [[1]] [null]"#,
        r#"1 "a" null {} [1] [null] [["a"]]"#,
    );
    for (code, option, values) in [
        (16, "acknowledge", flag),
        (16, "exclude_me", flag),
        (16, "disclose_me", flag),
        (16, "eligible", ids),
        (16, "exclude", ids),
        (16, "eligible_authid", texts),
        (16, "eligible_authrole", texts),
        (16, "exclude_authid", texts),
        (16, "exclude_authrole", texts),
        (32, "match", "1 true []"),
        (48, "timeout", number),
        (48, "receive_progress", flag),
        (48, "disclose_me", flag),
        (64, "match", "1 true []"),
        (64, "invoke", "1 true []"),
        (64, "concurrency", r#"0 -1 1.5 "1" true"#),
        (64, "force_reregister", flag),
    ] {
        for value in values.split(' ') {
            let text = format!(r#"[{code},1,{{"{option}":{value}}},"a"]"#);
            assert_eq!(bad(&text), Some((option, true)), "{text}");
        }
    }
    // Whoever asks for an answer in a way that cannot be read has one.
    let Message::Publish(publish) = decode(br#"[16,1,{"acknowledge":1},"a"]"#).unwrap() else {
        panic!("not a PUBLISH")
    };
    assert!(publish.options.acknowledge);
    // The first one counts.
    let text = r#"[16,1,{"x":1,"exclude":7,"retain":true},"a"]"#;
    assert_eq!(bad(text), Some(("exclude", true)));
}

#[test]
fn options_that_change_nothing_for_anybody_are_ignored() {
    for text in [
        r#"[16,1,{"x_mine":1,"transaction_hash":"h","trace_id":"t"},"a"]"#,
        r#"[32,1,{"x_mine":1},"a"]"#,
        r#"[48,1,{"x_mine":1,"transaction_hash":"h","caller":7},"a"]"#,
        r#"[64,1,{"x_mine":1},"a"]"#,
        r#"[48,1,{"ppt_scheme":null,"ppt_cipher":""},"a"]"#,
    ] {
        assert_eq!(bad(text), None, "{text}");
    }
}

#[test]
fn nesting_counts_brackets_outside_of_strings_only() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let is_too_deep = |json: String| is_nested_too_deep(json.as_bytes());
    assert!(!is_too_deep(deep(MAX_NESTING)));
    assert!(is_too_deep(deep(MAX_NESTING + 1)));
    assert!(is_too_deep(deep(100_000)));
    assert!(!is_too_deep(format!(r#"["\"{}"]"#, "[".repeat(10_000))));
    assert!(!is_too_deep(format!("[{}[]]", "[],".repeat(10_000))));
}

#[test]
fn what_is_nested_too_deep_comes_without_its_payload_and_is_otherwise_right() {
    let deep = format!("{}{}", "[".repeat(513), "]".repeat(513));
    for rest in [
        r#"16,1,{"acknowledge":true,"exclude_me":true},"a""#,
        r#"48,1,{},"a""#,
        "70,1,{}",
        r#"8,68,1,{},"a""#,
    ] {
        let Err(DecodeError::TooDeep(message)) = decode(format!("[{rest},{deep}]").as_bytes())
        else {
            panic!("{rest}: not too deep")
        };
        let written = Serializer::Json.encode(&message);
        assert_eq!(String::from_utf8(written).unwrap(), format!("[{rest}]"));
    }
    for text in [
        format!(r#"[48,1,{{}},"a",{deep},{{}},1]"#),
        format!(r#"[48,1,{{}},"a",{deep},[]]"#),
        format!(r#"[48,1,{{}},"a",{deep}"#),
        format!(r#"[48,1,{{}},"a",{deep}] x"#),
    ] {
        let result = decode(text.as_bytes());
        assert!(
            matches!(result, Err(DecodeError::Malformed { .. })),
            "{result:?}"
        );
    }
}

#[test]
fn a_hundred_thousand_levels_are_refused_wherever_they_stand() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (text, words) in [
        (
            format!("[48,1,{{}},\"a\",{deep}]"),
            "nested deeper than 512",
        ),
        (
            format!("[48,1,{{}},\"a\",[],{{\"k\":{deep}}}]"),
            "nested deeper than 512",
        ),
        (format!("[48,{deep},{{}},\"a\"]"), "invalid type"),
        (deep.clone(), "invalid type"),
        ("[".repeat(100_000), "invalid type"),
    ] {
        let error = decode(text.as_bytes()).expect_err("too deep").to_string();
        assert!(error.contains(words), "{error}");
    }
    // In an option that is ignored it is skipped without being kept.
    let text = format!("[48,1,{{\"x_deep\":{deep}}},\"a\"]");
    assert!(decode(text.as_bytes()).is_ok());
}
