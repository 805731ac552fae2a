//! Owns how the arguments of a call become the values of parameters. Must not know PostgreSQL's
//! types.

use std::collections::BTreeMap;

use wamp::Payload;

use super::{
    super::{
        super::{Error, did_you_mean::did_you_mean},
        types::Argument,
    },
    plan::Plan,
};

/// The arguments of a call.
pub(in crate::sql) struct Given {
    pub(in crate::sql) positional: Vec<Argument>,
    pub(in crate::sql) by_name: BTreeMap<String, Argument>,
}

impl Given {
    pub(in crate::sql) fn read(payload: &Payload) -> Result<Self, Error> {
        let unreadable =
            |error| Error::invalid_argument(format_args!("the arguments cannot be read: {error}"));
        Ok(Self {
            positional: payload.args().map_err(unreadable)?,
            by_name: payload.kwargs().map_err(unreadable)?,
        })
    }

    /// A value for each parameter of the plan, in their order; `None` for one that is missing, of
    /// which the type is to be told.
    pub(in crate::sql) fn ordered(mut self, plan: &Plan) -> Result<Vec<Option<Argument>>, Error> {
        let (came, takes) = (self.positional.len(), plan.parameters.len());
        if came > takes {
            return Err(Error::invalid_argument(format_args!(
                "{came} arguments came, and the procedure takes {takes}: {}",
                plan.takes()
            )));
        }
        let mut positional = self.positional.into_iter();
        let mut ordered = Vec::with_capacity(takes);
        for parameter in &plan.parameters {
            let named = self.by_name.remove(&parameter.name);
            let value = match (positional.next(), named) {
                (Some(_), Some(_)) => {
                    return Err(Error::invalid_argument(format_args!(
                        "argument `{}` came twice, by its position and by its name",
                        parameter.name
                    )));
                }
                (Some(value), None) | (None, Some(value)) => Some(value),
                (None, None) => parameter.default.clone(),
            };
            ordered.push(value);
        }
        if let Some(unknown) = self.by_name.keys().next() {
            let known: Vec<_> = plan.parameters.iter().map(|p| &*p.name).collect();
            return Err(Error::invalid_argument(format_args!(
                "there is no argument `{unknown}`{}; the procedure takes: {}",
                did_you_mean(unknown, &known),
                plan.takes()
            )));
        }
        Ok(ordered)
    }
}
