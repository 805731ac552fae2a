//! Owns which function a call means, by the arguments that it gives, and which input each of them is
//! for. Must not know types.

use std::{collections::BTreeMap, mem};

use wamp::Payload;

use super::{
    super::{
        super::{Error, did_you_mean::did_you_mean},
        procedure::Given,
        types::Argument,
    },
    Function, Overload,
    input::Input,
    statement::is_gapless,
};

/// Arguments as one of the functions takes them.
pub(super) struct Fit {
    /// The inputs that are given, a bit for each, the first one the lowest.
    pub(super) given: u128,
    /// Their values, in the order of the inputs.
    pub(super) arguments: Vec<Option<Argument>>,
    loose: Looseness,
}

/// How far a function goes to take the arguments: the least is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Looseness {
    /// It would take any.
    takes_all: bool,
    is_variadic: bool,
    /// PostgreSQL fills some in.
    has_defaults: bool,
}

/// The function that a call means.
pub(super) fn choose<'f>(
    function: &'f Function,
    payload: &Payload,
) -> Result<(&'f Overload, Fit), Error> {
    let given = Given::read(payload)?;
    if let [only] = function.overloads.as_slice() {
        return Ok((only, fit(only, given, payload)?));
    }
    let (count, names) = (given.positional.len(), given.by_name.keys().cloned());
    let names: Vec<_> = names.collect();
    let fits = function.overloads.iter().filter_map(|overload| {
        let given = Given {
            positional: given.positional.clone(),
            by_name: given.by_name.clone(),
        };
        Some((overload, fit(overload, given, payload).ok()?))
    });
    let mut fits: Vec<_> = fits.collect();
    let least = fits.iter().map(|(_, fit)| fit.loose).min();
    fits.retain(|(_, fit)| Some(fit.loose) == least);
    if fits.len() == 1 {
        return Ok(fits.remove(0));
    }
    let came = match (count, names.as_slice()) {
        (0, []) => "no argument came".to_owned(),
        (count, []) => format!("{count} positional arguments came"),
        (0, names) => format!("there came {}", names.join(", ")),
        (count, names) => format!(
            "{count} positional arguments came, and {}",
            names.join(", ")
        ),
    };
    let why = if fits.is_empty() {
        "which no function of the procedure takes; there are:"
    } else {
        "which do not tell apart the functions of the procedure:"
    };
    let all: Vec<_> = match fits.as_slice() {
        [] => function.overloads.iter().map(Overload::told).collect(),
        fits => fits.iter().map(|(overload, _)| overload.told()).collect(),
    };
    Err(Error::invalid_argument(format_args!(
        "{came}, {why} {}",
        all.join(", ")
    )))
}

/// The arguments as one function takes them.
fn fit(overload: &Overload, given: Given, payload: &Payload) -> Result<Fit, Error> {
    if overload.takes_all() {
        return all_of(given, payload);
    }
    let Given {
        mut positional,
        mut by_name,
    } = given;
    let rest = rest(overload, &mut positional)?;
    let (mut bits, mut arguments) = (0, Vec::new());
    let mut positional = positional.into_iter().chain(rest);
    let mut has_defaults = false;
    for (at, input) in overload.inputs.iter().enumerate() {
        let value = match (positional.next(), by_name.remove(&input.name)) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid_argument(format_args!(
                    "argument `{}` came twice, by its position and by its name",
                    input.name
                )));
            }
            (Some(value), None) | (None, Some(value)) => Some(value),
            (None, None) => without(input)?,
        };
        has_defaults |= value.is_none();
        if let Some(value) = value {
            bits |= 1 << at;
            arguments.push(Some(value));
        }
    }
    refuse_unknown(overload, &by_name)?;
    if !is_gapless(&overload.routine, &overload.inputs, bits) {
        return Err(Error::invalid_argument(format_args!(
            "an argument is missing before one that has no name; the procedure takes: {}",
            overload.told()
        )));
    }
    Ok(Fit {
        given: bits,
        arguments,
        loose: Looseness {
            takes_all: false,
            is_variadic: overload.inputs.iter().any(|input| input.is_variadic),
            has_defaults,
        },
    })
}

/// Takes what the last input collects out of the positional arguments: all from its position on, as a
/// list. One list alone is that list.
fn rest(overload: &Overload, positional: &mut Vec<Argument>) -> Result<Option<Argument>, Error> {
    let (came, takes) = (positional.len(), overload.inputs.len());
    let last = overload.inputs.last().filter(|last| last.is_variadic);
    match last {
        None if came > takes => Err(Error::invalid_argument(format_args!(
            "{came} arguments came, and the procedure takes {takes}: {}",
            overload.told()
        ))),
        Some(_) if came >= takes => {
            let elements = positional.split_off(takes - 1);
            Ok(Some(match elements.as_slice() {
                [only] if only.json().starts_with('[') => only.clone(),
                elements => list(elements),
            }))
        }
        _ => Ok(None),
    }
}

fn list(elements: &[Argument]) -> Argument {
    let elements: Vec<_> = elements.iter().map(Argument::json).collect();
    let json = format!("[{}]", elements.join(","));
    Argument::from_json(&json).expect("a list of JSON is JSON")
}

/// What an input is without an argument; `None` if PostgreSQL has a default for it.
fn without(input: &Input) -> Result<Option<Argument>, Error> {
    if let Some(default) = &input.default {
        return Ok(Some(default.clone()));
    }
    if input.has_default {
        return Ok(None);
    }
    if input.is_variadic {
        return Ok(Some(list(&[])));
    }
    let why = format!(
        "argument `{}` is missing: wanted {}",
        input.name, input.shown
    );
    Err(Error::invalid_argument(why))
}

fn refuse_unknown(overload: &Overload, left: &BTreeMap<String, Argument>) -> Result<(), Error> {
    let Some(unknown) = left.keys().next() else {
        return Ok(());
    };
    let known: Vec<_> = overload.inputs.iter().map(|input| &*input.name).collect();
    Err(Error::invalid_argument(format_args!(
        "there is no argument `{unknown}`{}; the procedure takes: {}",
        did_you_mean(unknown, &known),
        overload.told()
    )))
}

/// The one parameter that takes all keyword arguments, as the object that came; or one positional
/// argument.
fn all_of(mut given: Given, payload: &Payload) -> Result<Fit, Error> {
    let argument = match (given.positional.as_mut_slice(), given.by_name.is_empty()) {
        ([], _) => payload.kwargs().map_err(|error| {
            Error::invalid_argument(format_args!("the arguments cannot be read: {error}"))
        })?,
        ([only], true) => mem::take(only),
        _ => {
            return Err(Error::invalid_argument(
                "the procedure takes keyword arguments, all as one object, or one positional argument",
            ));
        }
    };
    Ok(Fit {
        given: 1,
        arguments: vec![Some(argument)],
        loose: Looseness {
            takes_all: true,
            is_variadic: false,
            has_defaults: false,
        },
    })
}
