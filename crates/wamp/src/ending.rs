//! How registrations and subscriptions end, and what is then said of it. Must not know who ends
//! one, nor why.

use serde::{Deserialize, Serialize, de::Error as _};

use super::{
    RegistrationId, RequestId, SubscriptionId, Uri,
    tokens::{Dict, Element, Reader, Writer, required},
};

/// At whose wish a registration or a subscription has ended.
///
/// Source: WAMP specification, "Registration Revocation" and "Subscription Revocation": a request
/// of 0 says that it was the router's wish, and Details follow.
#[derive(Clone, PartialEq, Debug)]
pub enum Ending<R> {
    /// The client's, with this UNREGISTER or UNSUBSCRIBE.
    Requested(RequestId),
    /// The router's, which tells the client of it.
    Revoked(Box<R>),
}

/// At whose wish a registration has ended.
pub type Unregistering = Ending<Revoked>;

/// At whose wish a subscription has ended.
pub type Unsubscribing = Ending<RevokedSubscription>;

/// `UNREGISTERED.Details|dict` of a registration that the router has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// The registration.
    pub registration: RegistrationId,
    /// Why, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Uri>,
}

/// `UNSUBSCRIBED.Details|dict` of a subscription that the router has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RevokedSubscription {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Why, for programs or for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl<R: Serialize + for<'a> Deserialize<'a>> Element for Ending<R> {
    fn read<'de, T: Reader<'de>>(reader: &mut T, name: &str) -> Result<Self, T::Error> {
        let request: u64 = required(reader, name)?;
        if request == 0 {
            return required(reader, "Details|dict").map(|Dict(revoked)| Self::Revoked(revoked));
        }
        RequestId::new(request)
            .map(Self::Requested)
            .ok_or_else(|| T::Error::custom(format_args!("the id {request} is out of range")))
    }

    fn write(&self, writer: &mut impl Writer) {
        match self {
            Self::Requested(request) => writer.element(request),
            Self::Revoked(revoked) => {
                writer.element(&0);
                writer.element(revoked);
            }
        }
    }

    fn elements(&self) -> usize {
        match self {
            Self::Requested(_) => 1,
            Self::Revoked(_) => 2,
        }
    }
}
