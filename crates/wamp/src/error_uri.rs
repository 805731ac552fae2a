//! The error and closing URIs that the WAMP specification predefines; owns no others.
//!
//! Source: "Basic Profile URIs" of the specification, and the few Advanced Profile URIs a
//! basic router cannot do without.

/// A URI-valued attribute (realm, procedure, topic, error) is not a valid WAMP URI.
pub const INVALID_URI: &str = "wamp.error.invalid_uri";
/// No procedure is registered under the called URI.
pub const NO_SUCH_PROCEDURE: &str = "wamp.error.no_such_procedure";
/// A procedure with this URI is registered already.
pub const PROCEDURE_ALREADY_EXISTS: &str = "wamp.error.procedure_already_exists";
/// The registration to end is not one of this session.
pub const NO_SUCH_REGISTRATION: &str = "wamp.error.no_such_registration";
/// The subscription to end is not one of this session.
pub const NO_SUCH_SUBSCRIPTION: &str = "wamp.error.no_such_subscription";
/// The arguments of a call do not suit the procedure.
pub const INVALID_ARGUMENT: &str = "wamp.error.invalid_argument";
/// A call was ended by the dealer or its callee before it had a result.
pub const CANCELED: &str = "wamp.error.canceled";
/// A call was ended by the dealer or its callee because its time was up.
pub const TIMEOUT: &str = "wamp.error.timeout";
/// A message was too large for the transport it had to go out on.
pub const PAYLOAD_SIZE_EXCEEDED: &str = "wamp.error.payload_size_exceeded";
/// An option was used that this router does not allow or does not serve.
pub const OPTION_NOT_ALLOWED: &str = "wamp.error.option_not_allowed";
/// A registration was taken over by another callee; reason of an UNREGISTERED. Not in the
/// specification; the name is Crossbar.io's.
pub const UNREGISTERED: &str = "wamp.error.unregistered";
/// The callee cannot take the call now; it, or another router, may take it later.
pub const UNAVAILABLE: &str = "wamp.error.unavailable";
/// The procedure failed with an error that has no URI of its own.
pub const RUNTIME_ERROR: &str = "wamp.error.runtime_error";

/// The whole peer is going down; reason of a GOODBYE or ABORT.
pub const SYSTEM_SHUTDOWN: &str = "wamp.close.system_shutdown";
/// The peer leaves the realm; reason of a GOODBYE.
pub const CLOSE_REALM: &str = "wamp.close.close_realm";
/// The answer to a GOODBYE.
pub const GOODBYE_AND_OUT: &str = "wamp.close.goodbye_and_out";
/// The peer broke the protocol; reason of an ABORT.
pub const PROTOCOL_VIOLATION: &str = "wamp.error.protocol_violation";

/// The session's role may not do this.
pub const NOT_AUTHORIZED: &str = "wamp.error.not_authorized";
/// Whether the session may do this could not be found out: who is to say so has failed, or gave no
/// answer in time.
pub const AUTHORIZATION_FAILED: &str = "wamp.error.authorization_failed";
/// The realm asked for in HELLO does not exist.
pub const NO_SUCH_REALM: &str = "wamp.error.no_such_realm";
/// The session's role does not exist on the realm.
pub const NO_SUCH_ROLE: &str = "wamp.error.no_such_role";
/// None of the authentication methods offered in HELLO is served.
pub const NO_MATCHING_AUTH_METHOD: &str = "wamp.error.no_matching_auth_method";
