//! The Options and Details of what answers a request: what of them is kept. Must not know how they
//! are read.

use serde::{Serialize, de::MapAccess};

use super::{
    options::is_false,
    options_dict::{OptionsDict, Read, passthru, read_as_dict},
};

/// `RESULT.Details|dict`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ResultDetails {
    /// Whether it is a part of the result, and more is to come.
    #[serde(skip_serializing_if = "is_false")]
    pub progress: bool,
}

/// `YIELD.Options|dict`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct YieldOptions {
    /// Whether it is a part of the result, and more is to come.
    #[serde(skip_serializing_if = "is_false")]
    pub progress: bool,
}

/// `ERROR.Details|dict`, of which nothing is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ErrorDetails {}

impl OptionsDict for ResultDetails {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Read<A::Error> {
        progress(map, key, &mut self.progress)
    }
}

impl OptionsDict for YieldOptions {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Read<A::Error> {
        progress(map, key, &mut self.progress)
    }
}

impl OptionsDict for ErrorDetails {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Read<A::Error> {
        passthru(map, key)
    }
}

/// No ERROR answers a RESULT or a YIELD, so a value of the wrong type makes it malformed.
fn progress<'de, A: MapAccess<'de>>(map: &mut A, key: &str, into: &mut bool) -> Read<A::Error> {
    if key != "progress" {
        return passthru(map, key);
    }
    *into = map.next_value()?;
    Ok(None)
}

read_as_dict!(ResultDetails YieldOptions ErrorDetails);
