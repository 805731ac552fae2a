//! What a request must be like, whoever makes it: its options are served, its URI is valid. Must not
//! know who may do what.

use super::refusal::{Refusal, check_application_uri, check_option, check_options, check_uri};
use wamp::{Message, Register, Subscribe};

/// Checks a request before anybody is asked about it. Messages that are none have no form.
pub(super) fn check(message: &Message) -> Result<(), Refusal> {
    if let Message::Call(call) = message {
        check_options(call.options.bad.as_deref())?;
        check_uri(&call.procedure)
    } else if let Message::Publish(publish) = message {
        check_options(publish.options.bad.as_deref())?;
        check_application_uri(&publish.topic)
    } else if let Message::Register(register) = message {
        check_register(register)
    } else if let Message::Subscribe(subscribe) = message {
        check_subscribe(subscribe)
    } else {
        Ok(())
    }
}

/// Checks a REGISTER.
pub(super) fn check_register(register: &Register) -> Result<(), Refusal> {
    let options = &register.options;
    check_options(options.bad.as_deref())?;
    check_option("match", "exact", options.match_policy.as_ref())?;
    check_option("invoke", "single", options.invoke.as_ref())?;
    check_application_uri(&register.procedure)
}

/// Checks a SUBSCRIBE.
pub(super) fn check_subscribe(subscribe: &Subscribe) -> Result<(), Refusal> {
    let options = &subscribe.options;
    check_options(options.bad.as_deref())?;
    check_option("match", "exact", options.match_policy.as_ref())?;
    check_uri(&subscribe.topic)
}
