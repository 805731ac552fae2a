//! Application payloads: positional and keyword arguments kept as the raw bytes they came in.
//! Knows where the ones end and the others begin, not their encoding nor what they mean.

use std::num::NonZeroU32;

use serde::{Serialize, de::DeserializeOwned};

use super::Serializer;

/// The deepest nesting of lists and dictionaries accepted in a payload. Deeper ones overflow the
/// stack of common readers, so they end at the router instead of at every receiver.
pub const MAX_NESTING: usize = 512;

/// Up to this many bytes are copied to an allocation of their length; giving the rest of their own
/// back takes longer.
const CHEAP_TO_COPY: usize = 256;

/// The `Arguments|list, ArgumentsKw|dict` that end many messages, as raw bytes in one serializer's
/// encoding: the value of the list, and right behind it that of the dictionary where there is one.
/// No bytes are no arguments of either kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payload {
    bytes: Box<[u8]>,
    /// Where the keyword arguments begin, when there are any.
    kwargs_at: Option<NonZeroU32>,
    serializer: Serializer,
}

/// Why a payload is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The first element is not a list.
    #[error("Arguments must be a list")]
    ArgumentsNotAList,
    /// The second element is not a dictionary.
    #[error("ArgumentsKw must be a dictionary")]
    ArgumentsKwNotADict,
    /// Lists and dictionaries inside each other, deeper than [`MAX_NESTING`].
    #[error("the payload is nested deeper than {MAX_NESTING} levels")]
    TooDeep,
    /// The payload is too large to be addressed.
    #[error("the payload is larger than 4 GiB")]
    TooLarge,
    /// The arguments are not of the wanted shape, or a value cannot be encoded.
    #[error("{0}")]
    Shape(Box<dyn std::error::Error + Send + Sync>),
}

impl Payload {
    /// No arguments at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Encodes positional arguments (anything that serializes as a list), in the default
    /// serializer.
    ///
    /// # Errors
    /// [`PayloadError`] when the value cannot be encoded, or is not a list.
    pub fn from_args(args: &impl Serialize) -> Result<Self, PayloadError> {
        let serializer = Serializer::default();
        let bytes = fitted(serializer.list(args)?);
        Ok(Self {
            bytes,
            kwargs_at: None,
            serializer,
        })
    }

    /// Encodes positional arguments (a list) and keyword arguments (a dictionary).
    ///
    /// # Errors
    /// [`PayloadError`] when a value cannot be encoded, or is not of its kind.
    pub fn from_args_kwargs(
        args: &impl Serialize,
        kwargs: &impl Serialize,
    ) -> Result<Self, PayloadError> {
        let serializer = Serializer::default();
        let (args, kwargs) = (serializer.list(args)?, serializer.dict(kwargs)?);
        Self::from_raw(serializer, &args, Some(&kwargs))
    }

    /// Takes over encoded values that are of their kind and not nested too deep.
    #[inline]
    pub(super) fn from_raw(
        serializer: Serializer,
        args: &[u8],
        kwargs: Option<&[u8]>,
    ) -> Result<Self, PayloadError> {
        let (bytes, kwargs_at) = match kwargs {
            None => (args.into(), None),
            Some(kwargs) => {
                let mut bytes = Vec::with_capacity(args.len() + kwargs.len());
                bytes.extend_from_slice(args);
                bytes.extend_from_slice(kwargs);
                (bytes.into(), position(args)?)
            }
        };
        Ok(Self {
            bytes,
            kwargs_at,
            serializer,
        })
    }

    /// The serializer that the bytes are of.
    pub fn serializer(&self) -> Serializer {
        self.serializer
    }

    /// The encoded list, which is empty when there are no arguments, and the encoded dictionary.
    pub(super) fn raw(&self) -> (&[u8], Option<&[u8]>) {
        match self.kwargs_at {
            None => (&self.bytes, None),
            Some(at) => {
                let (args, kwargs) = self.bytes.split_at(at.get() as usize);
                (args, Some(kwargs))
            }
        }
    }

    /// How many elements of a message it takes.
    pub(super) fn parts(&self) -> usize {
        usize::from(!self.is_empty()) + usize::from(self.kwargs_at.is_some())
    }

    /// How many bytes the payload has.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no arguments of either kind.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Reads the positional arguments as `T`: a tuple, a `Vec`, a struct in field order. Without
    /// any, as from an empty list.
    ///
    /// # Errors
    /// [`PayloadError::Shape`] that says which argument does not fit.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        let (args, _) = self.raw();
        let args = (!args.is_empty()).then_some(args);
        self.serializer.read_list(args)
    }

    /// Reads the keyword arguments as `T`: a struct or a map. Without any, as from an empty
    /// dictionary.
    ///
    /// # Errors
    /// [`PayloadError::Shape`] that says which argument does not fit.
    pub fn kwargs<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        let (_, kwargs) = self.raw();
        self.serializer.read_dict(kwargs)
    }
}

/// Where what follows these bytes begins.
fn position(before: &[u8]) -> Result<Option<NonZeroU32>, PayloadError> {
    let at = u32::try_from(before.len()).map_err(|_| PayloadError::TooLarge)?;
    Ok(NonZeroU32::new(at))
}

/// The bytes without the capacity that they did not need.
fn fitted(bytes: Vec<u8>) -> Box<[u8]> {
    if bytes.len() < CHEAP_TO_COPY {
        bytes.as_slice().into()
    } else {
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_by_shape() {
        let payload =
            Payload::from_args_kwargs(&(1, "two"), &serde_json::json!({"three": 3.0})).unwrap();
        assert_eq!(
            payload.args::<(i32, String)>().unwrap(),
            (1, "two".to_owned())
        );
        let kwargs: serde_json::Value = payload.kwargs().unwrap();
        assert_eq!(kwargs, serde_json::json!({"three": 3.0}));
        let wrong = payload.args::<(i32, i32)>().unwrap_err().to_string();
        assert!(wrong.contains("invalid type: string \"two\""), "{wrong}");
        assert_eq!(payload.parts(), 2);
    }

    #[test]
    fn no_arguments_read_as_empty_ones() {
        let payload = Payload::empty();
        assert!(payload.is_empty());
        assert_eq!(payload.parts(), 0);
        assert_eq!(payload.args::<Vec<i32>>().unwrap(), Vec::<i32>::new());
        assert_eq!(
            payload.kwargs::<serde_json::Value>().unwrap(),
            serde_json::json!({})
        );
    }

    #[test]
    fn what_is_not_of_its_kind_is_no_payload() {
        let not_a_list = Payload::from_args(&1);
        assert!(matches!(not_a_list, Err(PayloadError::ArgumentsNotAList)));
        let not_a_dict = Payload::from_args_kwargs(&[1], &[2]);
        assert!(matches!(not_a_dict, Err(PayloadError::ArgumentsKwNotADict)));
    }
}
