//! What the errors of SQL come to: those that it raises as WAMP errors, and all others by the table.

use serde_json::{Value, json};

use super::super::*;

fn report(sqlstate: &str, message: &str) -> sql::Report {
    sql::Report {
        severity: "ERROR".into(),
        sqlstate: sqlstate.into(),
        message: message.into(),
        ..sql::Report::default()
    }
}

fn of(report: sql::Report) -> Error {
    let text = format!("ERROR: {} (SQLSTATE {})", report.message, report.sqlstate);
    sql::Error::new(sql::ErrorKind::Database, text)
        .with_report(report)
        .into()
}

fn raised(detail: Option<&str>, hint: Option<&str>) -> Error {
    of(sql::Report {
        detail: detail.map(Into::into),
        hint: hint.map(Into::into),
        ..report(RAISED, "none left")
    })
}

fn told(error: &Error) -> (String, Value, Value) {
    let payload = error.payload(ErrorDetails::None);
    let kwargs = payload.kwargs::<Value>().unwrap();
    (error.uri().to_string(), payload.args().unwrap(), kwargs)
}

#[test]
fn sql_raises_wamp_errors() {
    let sold_out = "com.shop.sold_out";
    for (detail, hint, args, kwargs) in [
        (None, Some(sold_out), json!(["none left"]), json!({})),
        (
            Some(r#"{"uri": "com.shop.sold_out"}"#),
            None,
            json!(["none left"]),
            json!({}),
        ),
        (
            Some(r#"{"uri": "com.shop.sold_out", "args": [1, [2]], "kwargs": {"left": 0}}"#),
            Some("not looked at"),
            json!([1, [2]]),
            json!({"left": 0}),
        ),
        (
            Some(r#"{"kwargs": {"left": 0}}"#),
            Some(sold_out),
            json!(["none left"]),
            json!({"left": 0}),
        ),
    ] {
        let error = raised(detail, hint);
        let expected = (sold_out.to_owned(), args, kwargs);
        assert_eq!(told(&error), expected, "{detail:?}");
        assert!(error.log().is_none());
        assert_eq!(error.message(), "none left");
    }
    let (uri, ..) = told(&raised(None, Some("wamp.error.not_authorized")));
    assert_eq!(uri, "wamp.error.not_authorized");
}

#[test]
fn the_body_of_a_raised_error_is_passed_on_to_the_digit() {
    let body =
        r#"{"uri": "a.b", "args": [12345678901234567890123456789.50], "kwargs": {"n": 1e3}}"#;
    let payload = raised(Some(body), None).payload(ErrorDetails::None);
    let args = payload.args::<Vec<Box<serde_json::value::RawValue>>>();
    assert_eq!(args.unwrap()[0].get(), "12345678901234567890123456789.50");
}

#[test]
fn a_raised_error_that_is_none_says_what_is_wrong() {
    let long = format!(r#"{{"uri": "a.b", "args": ["{}"]}}"#, "x".repeat(70_000));
    for (detail, hint, why) in [
        (None, None, "it has no URI"),
        (Some("{}"), None, "it has no URI"),
        (
            Some("sold out"),
            Some("a.b"),
            "its DETAIL is to be an object in JSON",
        ),
        (
            Some("[1]"),
            Some("a.b"),
            "its DETAIL is to be an object in JSON",
        ),
        (
            Some(r#"{"url": "a.b"}"#),
            Some("a.b"),
            "its DETAIL has a key `url`, and it can have: uri, args, kwargs",
        ),
        (
            Some(r#"{"uri": 1}"#),
            None,
            "`uri` in its DETAIL is to be a string",
        ),
        (
            Some(r#"{"uri": "a.b", "args": {}}"#),
            None,
            "Arguments must be a list",
        ),
        (
            Some(r#"{"uri": "a.b", "kwargs": []}"#),
            None,
            "ArgumentsKw must be a dictionary",
        ),
        (Some(&long), None, "its DETAIL has more than 65536 bytes"),
        (None, Some("ask for less"), "\"ask for less\" is no URI"),
        (
            None,
            Some("wamp.error.no_such_procedure"),
            "is WAMP's own; of those an application can raise: wamp.error.invalid_argument, ",
        ),
        (None, Some("wamp.mine"), "wamp.mine is WAMP's own"),
    ] {
        let error = raised(detail, hint);
        assert!(error.log().is_some(), "{detail:?}");
        let (uri, args, kwargs) = told(&error);
        assert_eq!(uri, "wamp.error.runtime_error");
        assert_eq!(kwargs, json!({"sqlstate": "WAMP0"}));
        assert!(args[0].as_str().unwrap().contains(why), "{args}");
    }
}

#[test]
fn a_sqlstate_has_its_uri() {
    for (sqlstate, uri) in [
        ("22P02", error_uri::INVALID_ARGUMENT),
        ("23502", error_uri::INVALID_ARGUMENT),
        ("23505", CONFLICT),
        ("42501", error_uri::NOT_AUTHORIZED),
        ("42P01", error_uri::RUNTIME_ERROR),
        ("55P03", error_uri::UNAVAILABLE),
        ("57014", error_uri::CANCELED),
        ("P0001", error_uri::RUNTIME_ERROR),
        ("SHOP1", error_uri::RUNTIME_ERROR),
        ("XX000", error_uri::RUNTIME_ERROR),
    ] {
        assert_eq!(of(report(sqlstate, "no")).uri().as_str(), uri, "{sqlstate}");
    }
}

#[test]
fn what_is_about_the_inside_is_for_the_log_unless_debugging() {
    let inside = of(sql::Report {
        hint: Some("Perhaps you meant \"card\".".into()),
        detail: Some("of the customer 4711".into()),
        table: Some("cards".into()),
        ..report("42703", "column \"crad\" does not exist")
    });
    assert!(inside.log().is_some());
    assert!(inside.message().contains("crad"));
    for shown in [ErrorDetails::None, ErrorDetails::Names, ErrorDetails::All] {
        let payload = inside.payload(shown);
        let (message,) = payload.args::<(String,)>().unwrap();
        assert!(
            message
                .starts_with("the procedure has failed inside of the database (SQLSTATE 42703);"),
            "{message}"
        );
        let kwargs = payload.kwargs::<Value>().unwrap();
        assert_eq!(kwargs, json!({"sqlstate": "42703", "severity": "ERROR"}));
    }
    let payload = inside.payload(ErrorDetails::Debug);
    assert_eq!(
        payload.args::<(String,)>().unwrap().0,
        "ERROR: column \"crad\" does not exist (SQLSTATE 42703)"
    );
    assert_eq!(payload.kwargs::<Value>().unwrap()["table"], "cards");
    // Nor is what a transaction was aborted for, of which only the words are known.
    let aborted: Error = sql::Error::new(sql::ErrorKind::Database, "aborted: secret").into();
    let told = aborted.payload(ErrorDetails::All);
    assert!(!told.args::<(String,)>().unwrap().0.contains("secret"));
}

#[test]
fn what_is_raised_before_the_statements_refuses_the_call() {
    let early = |sqlstate: &str| {
        let error = sql::Error::new(sql::ErrorKind::Database, "no");
        Error::from(error.with_report(report(sqlstate, "no")).early())
    };
    for (sqlstate, uri, is_for_operators) in [
        ("P0001", error_uri::NOT_AUTHORIZED, false),
        ("SHOP1", error_uri::NOT_AUTHORIZED, false),
        ("42501", error_uri::NOT_AUTHORIZED, false),
        ("22023", error_uri::RUNTIME_ERROR, true),
        ("23505", error_uri::RUNTIME_ERROR, true),
        ("42883", error_uri::RUNTIME_ERROR, true),
        ("40001", error_uri::RUNTIME_ERROR, false),
        ("57014", error_uri::CANCELED, false),
    ] {
        let error = early(sqlstate);
        assert_eq!(error.uri().as_str(), uri, "{sqlstate}");
        assert_eq!(error.log().is_some(), is_for_operators, "{sqlstate}");
    }
    let named = sql::Error::new(sql::ErrorKind::Database, "no").with_report(sql::Report {
        hint: Some("com.shop.closed".into()),
        ..report(RAISED, "we are closed")
    });
    let raised = Error::from(named.early());
    assert_eq!(raised.uri().as_str(), "com.shop.closed");
}
