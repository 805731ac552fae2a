//! What callers are told, by the setting of the database.

mod documented;
mod raising;

use sql::ErrorKind;

use super::{database::SHOWN_OF_POSTGRES, *};

#[test]
fn what_repeats_an_argument_is_bounded() {
    let long = "x".repeat(1_000_000);
    let invalid = Error::invalid_argument(format_args!("argument 1: {long:?} is no number"));
    assert!(invalid.payload(ErrorDetails::None).len() < 2 * SHOWN);
    assert!(invalid.to_string().ends_with("is no number"));
    let said = Error::from(sql::Error::new(ErrorKind::Other, long));
    assert!(said.payload(ErrorDetails::None).len() < 2 * SHOWN_OF_POSTGRES);
}

#[test]
fn what_postgresql_said_is_in_the_details() {
    let report = sql::Report {
        severity: "ERROR".into(),
        sqlstate: "57014".into(),
        hint: Some("ask for less".into()),
        ..sql::Report::default()
    };
    let database = sql::Error::new(ErrorKind::Database, "no").with_report(report);
    let told = Error::from(database);
    assert_eq!(told.uri().as_str(), error_uri::CANCELED);
    let expected = Error::new(error_uri::CANCELED, "no")
        .with_detail("sqlstate", "57014")
        .with_detail("severity", "ERROR")
        .with_detail("message", "")
        .with_detail("hint", "ask for less");
    assert_eq!(told, expected);
    let lost = Error::from(sql::Error::new(ErrorKind::ConnectionLost, "no"));
    let expected = Error::runtime("no").with_detail("retryable", true);
    assert_eq!(lost, expected);
    let panicked = sql::Error::new(ErrorKind::Panicked, "hunter2");
    assert_eq!(Error::from(panicked), Error::panicked());
}

#[test]
fn callers_get_as_much_of_the_report_as_the_setting_says() {
    let report = sql::Report {
        severity: "ERROR".into(),
        sqlstate: "23505".into(),
        detail: Some("Key (card)=(4711) already exists.".into()),
        hint: Some("take another".into()),
        constraint: Some("cards_pkey".into()),
        table: Some("cards".into()),
        ..sql::Report::default()
    };
    let text = "ERROR: taken (SQLSTATE 23505); detail: Key (card)=(4711) already exists.; \
                hint: take another";
    let error = sql::Error::new(ErrorKind::Database, text).with_report(report);
    let error = Error::from(error);
    assert_eq!(error.message(), text);
    assert_eq!(error.details()["constraint"], "cards_pkey");
    for (shown, keys) in [
        (ErrorDetails::None, "hint message severity sqlstate"),
        (
            ErrorDetails::Names,
            "constraint hint message severity sqlstate table",
        ),
        (
            ErrorDetails::All,
            "constraint detail hint message severity sqlstate table",
        ),
    ] {
        let payload = error.payload(shown);
        let kwargs = payload.kwargs::<Map<String, Value>>().unwrap();
        let mut told: Vec<_> = kwargs.keys().map(String::as_str).collect();
        told.sort_unstable();
        assert_eq!(told.join(" "), keys);
        let (message,) = payload.args::<(String,)>().unwrap();
        assert_eq!(message.contains("4711"), shown == ErrorDetails::All);
        assert!(message.ends_with("; hint: take another"), "{message}");
    }
    // Whoever hands an error on by itself gives no more than the least.
    let handed = wamp_client::Error::from(error.clone()).payload;
    assert_eq!(handed, error.payload(ErrorDetails::None));
    let own = error.with_detail("table", "of mine");
    let own = own.payload(ErrorDetails::None);
    assert_eq!(own.kwargs::<Value>().unwrap()["table"], "of mine");
}

#[test]
fn an_error_of_a_call_is_handed_out_as_it_came() {
    let came = wamp_client::Error {
        uri: "com.example.sold_out".into(),
        payload: Payload::from_args_kwargs(
            &("none left", 7),
            &Map::from_iter([("left".to_owned(), 0.into())]),
        )
        .unwrap(),
    };
    let error = Error::from(came.clone());
    assert_eq!(error.to_string(), "com.example.sold_out: none left");
    assert_eq!(error.details()["left"], 0);
    assert_eq!(wamp_client::Error::from(error.clone()), came);
    // With a detail of one's own it is one's own error.
    let own = error.with_detail("item", "tea").payload(ErrorDetails::None);
    assert_eq!(own.args::<(String,)>().unwrap().0, "none left");
    assert_eq!(own.kwargs::<Value>().unwrap()["item"], "tea");
}

#[test]
fn a_job_may_answer_with_an_error_of_its_own() {
    let sold_out = Error::new("com.example.sold_out", "none left").with_detail("left", 0);
    let answers = [
        Error::from(sql::Error::custom(sold_out.clone())),
        #[cfg(feature = "adbapi")]
        Error::from(adbapi::Error::custom(sold_out.clone())),
    ];
    for answered in answers {
        assert_eq!(answered, sold_out);
    }
    let others = [
        Error::from(sql::Error::custom("oh")),
        #[cfg(feature = "adbapi")]
        Error::from(adbapi::Error::custom("oh")),
    ];
    for other in others {
        assert_eq!(other, Error::runtime("oh"));
    }
}
