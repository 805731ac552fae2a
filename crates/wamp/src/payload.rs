//! Application payloads: positional and keyword arguments kept as the raw bytes they came in.
//! Knows where they begin and end, not what they mean.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::Serializer;

/// The deepest nesting of lists and dictionaries accepted in a payload. Deeper ones overflow the
/// stack of common JSON readers, so they end at the router instead of at every receiver.
pub const MAX_NESTING: usize = 512;

/// Up to this many bytes a text is copied to an allocation of its length; giving the rest of its
/// own back takes longer.
const CHEAP_TO_COPY: usize = 256;

/// The `Arguments|list, ArgumentsKw|dict` that end many messages, as raw bytes in one
/// serializer's encoding.
///
/// For JSON the bytes are `[…]` or `[…],{…}`: just what stands at the end of the message, so
/// that passing a payload on is one copy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payload {
    bytes: Box<[u8]>,
    /// Where the keyword arguments begin, when there are any.
    kwargs_at: Option<u32>,
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
    Shape(#[from] serde_json::Error),
}

impl Payload {
    /// No arguments at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Encodes positional arguments (anything that serializes as a list).
    ///
    /// # Errors
    /// [`PayloadError`] when the value cannot be encoded, or is not a list.
    pub fn from_args(args: &impl Serialize) -> Result<Self, PayloadError> {
        Self::encode(args, None::<&()>)
    }

    /// Encodes positional arguments (a list) and keyword arguments (a dictionary).
    ///
    /// # Errors
    /// [`PayloadError`] when a value cannot be encoded, or is not of its kind.
    pub fn from_args_kwargs(
        args: &impl Serialize,
        kwargs: &impl Serialize,
    ) -> Result<Self, PayloadError> {
        Self::encode(args, Some(kwargs))
    }

    fn encode(
        args: &impl Serialize,
        kwargs: Option<&impl Serialize>,
    ) -> Result<Self, PayloadError> {
        let mut json = serde_json::to_string(args)?;
        let mut kwargs_at = None;
        if let Some(kwargs) = kwargs {
            json.push(',');
            kwargs_at = Some(json.len());
            json.push_str(&serde_json::to_string(kwargs)?);
        }
        match kwargs_at {
            Some(at) => check(&json[..at - 1], Some(&json[at..]))?,
            None => check(&json, None)?,
        }
        Self::new(json, kwargs_at)
    }

    /// Takes over raw JSON elements. Checks their kind and how deep they are nested, which costs
    /// nothing for payloads too short to be nested too deep.
    pub(super) fn from_json(
        args: Option<&RawValue>,
        kwargs: Option<&RawValue>,
    ) -> Result<Self, PayloadError> {
        let args = match (args, kwargs) {
            (Some(args), _) => args.get(),
            // Keyword arguments do not go without a list of the others.
            (None, Some(_)) => "[]",
            (None, None) => return Ok(Self::empty()),
        };
        let kwargs = kwargs.map(RawValue::get);
        check(args, kwargs)?;
        let mut json = String::with_capacity(args.len() + kwargs.map_or(0, |k| k.len() + 1));
        json.push_str(args);
        let mut kwargs_at = None;
        if let Some(kwargs) = kwargs {
            json.push(',');
            kwargs_at = Some(json.len());
            json.push_str(kwargs);
        }
        Self::new(json, kwargs_at)
    }

    fn new(json: String, kwargs_at: Option<usize>) -> Result<Self, PayloadError> {
        let bytes = if json.len() < json.capacity().min(CHEAP_TO_COPY) {
            json.as_bytes().into()
        } else {
            json.into_bytes().into()
        };
        Ok(Self {
            bytes,
            kwargs_at: kwargs_at
                .map(u32::try_from)
                .transpose()
                .map_err(|_| PayloadError::TooLarge)?,
            serializer: Serializer::Json,
        })
    }

    /// The raw bytes, without a leading separator; empty when there are no arguments.
    pub(super) fn raw(&self) -> &[u8] {
        &self.bytes
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
        let Serializer::Json = self.serializer;
        let end = self
            .kwargs_at
            .map_or(self.bytes.len(), |at| at as usize - 1);
        let args = if self.bytes.is_empty() {
            b"[]"
        } else {
            &self.bytes[..end]
        };
        Ok(serde_json::from_slice(args)?)
    }

    /// Reads the keyword arguments as `T`: a struct or a map. Without any, as from an empty
    /// dictionary.
    ///
    /// # Errors
    /// [`PayloadError::Shape`] that says which argument does not fit.
    pub fn kwargs<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        let Serializer::Json = self.serializer;
        let kwargs = self
            .kwargs_at
            .map_or(&b"{}"[..], |at| &self.bytes[at as usize..]);
        Ok(serde_json::from_slice(kwargs)?)
    }
}

/// Whether two JSON values are what ends a message.
fn check(args: &str, kwargs: Option<&str>) -> Result<(), PayloadError> {
    if !args.starts_with('[') {
        return Err(PayloadError::ArgumentsNotAList);
    }
    if kwargs.is_some_and(|kwargs| !kwargs.starts_with('{')) {
        return Err(PayloadError::ArgumentsKwNotADict);
    }
    if is_nested_too_deep(args) || kwargs.is_some_and(is_nested_too_deep) {
        return Err(PayloadError::TooDeep);
    }
    Ok(())
}

/// Whether a valid JSON value nests lists and dictionaries deeper than [`MAX_NESTING`]. Runs
/// over the bytes once and needs no stack.
fn is_nested_too_deep(json: &str) -> bool {
    // Every level takes at least its two brackets.
    if json.len() <= 2 * MAX_NESTING {
        return false;
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_NESTING {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_by_shape() {
        let payload =
            Payload::from_args_kwargs(&(1, "two"), &serde_json::json!({"three": 3.0})).unwrap();
        assert_eq!(payload.raw(), br#"[1,"two"],{"three":3.0}"#);
        assert_eq!(
            payload.args::<(i32, String)>().unwrap(),
            (1, "two".to_owned())
        );
        let kwargs: serde_json::Value = payload.kwargs().unwrap();
        assert_eq!(kwargs, serde_json::json!({"three": 3.0}));
        let wrong = payload.args::<(i32, i32)>().unwrap_err().to_string();
        assert!(wrong.contains("invalid type: string \"two\""), "{wrong}");
    }

    #[test]
    fn no_arguments_read_as_empty_ones() {
        let payload = Payload::empty();
        assert!(payload.is_empty());
        assert_eq!(payload.args::<Vec<i32>>().unwrap(), Vec::<i32>::new());
        assert_eq!(
            payload.kwargs::<serde_json::Value>().unwrap(),
            serde_json::json!({})
        );
    }

    #[test]
    fn nesting_counts_brackets_outside_of_strings_only() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_nested_too_deep(&deep(MAX_NESTING)));
        assert!(is_nested_too_deep(&deep(MAX_NESTING + 1)));
        assert!(is_nested_too_deep(&deep(100_000)));
        let quoted = format!(r#"["\"{}"]"#, "[".repeat(10_000));
        assert!(!is_nested_too_deep(&quoted));
        let wide = format!("[{}[]]", "[],".repeat(10_000));
        assert!(!is_nested_too_deep(&wide));
    }
}
