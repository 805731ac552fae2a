//! Options and Details that mostly are as by default, kept small for it. Knows nothing of what
//! stands in them.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CallOptions, InvocationDetails, PublishOptions};

/// A value that takes no memory of its own while it is the default. All messages have the size of
/// the largest, and are moved about by value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sparse<T>(Option<Box<T>>);

/// What has a default to point at.
pub trait StaticDefault: PartialEq + Sized + 'static {
    /// The default.
    const DEFAULT: &'static Self;
}

impl StaticDefault for CallOptions {
    const DEFAULT: &'static Self = &Self::DEFAULT;
}

impl StaticDefault for PublishOptions {
    const DEFAULT: &'static Self = &Self::DEFAULT;
}

impl StaticDefault for InvocationDetails {
    const DEFAULT: &'static Self = &Self::DEFAULT;
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: StaticDefault> From<T> for Sparse<T> {
    fn from(value: T) -> Self {
        Self((value != *T::DEFAULT).then(|| Box::new(value)))
    }
}

impl<T: StaticDefault> Deref for Sparse<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::DEFAULT)
    }
}

impl<T: StaticDefault + Serialize> Serialize for Sparse<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: StaticDefault + Deserialize<'de>> Deserialize<'de> for Sparse<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}
