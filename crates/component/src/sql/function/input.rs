//! Owns what a call gives a function a value for, with what options say of it. Must not know calls.

use super::super::{
    catalogue::{Mode, Parameter, Routine},
    options::{Options, ParamOption},
    text::Fault,
    types::Argument,
};

/// A parameter that a call gives a value for.
#[derive(Debug)]
pub(super) struct Input {
    /// What calls name it: `price`; `$1` of one without a name.
    pub(super) name: String,
    /// Its type, as SQL writes it.
    pub(super) r#type: String,
    /// Its type, for people.
    pub(super) shown: String,
    pub(super) is_variadic: bool,
    /// Whether PostgreSQL has a default for it.
    pub(super) has_default: bool,
    /// What the options say is its default.
    pub(super) default: Option<Argument>,
}

impl Input {
    /// Those of a function; each fault is at `place`.
    pub(super) fn all(
        routine: &Routine,
        options: &Options,
        place: impl Fn(String) -> Fault,
    ) -> Result<Vec<Self>, Vec<Fault>> {
        let (mut all, mut faults) = (Vec::new(), Vec::new());
        for (at, (parameter, has_default)) in routine.inputs().enumerate() {
            let name = name_of(at, parameter);
            let said = options.params.iter().find(|said| said.name == name);
            match Self::new(parameter, name, said) {
                Ok(input) => all.push(Self {
                    has_default,
                    ..input
                }),
                Err(why) => faults.push(place(why)),
            }
        }
        if faults.is_empty() {
            Ok(all)
        } else {
            Err(faults)
        }
    }

    fn new(
        parameter: &Parameter,
        name: String,
        said: Option<&ParamOption>,
    ) -> Result<Self, String> {
        let r#type = said.and_then(|said| said.r#type.as_deref());
        if r#type.is_none() && parameter.is_pseudo {
            let shown = &parameter.shown;
            return Err(format!(
                "`{name}` can have any type ({shown}): say which, by `@param {name} type`"
            ));
        }
        let default = said.and_then(|said| said.default.as_deref());
        let default = default.map(Argument::from_json).transpose();
        let default = default.map_err(|error| format!("the default of `{name}`: {error}"))?;
        Ok(Self {
            r#type: r#type.unwrap_or(&parameter.r#type).to_owned(),
            shown: r#type.unwrap_or(&parameter.shown).to_owned(),
            is_variadic: parameter.mode == Mode::Variadic,
            has_default: false,
            default,
            name,
        })
    }

    /// Whether a call may go without it.
    pub(super) fn is_optional(&self) -> bool {
        self.has_default || self.default.is_some() || self.is_variadic
    }

    /// It, as a list of arguments shows it.
    pub(super) fn told(&self) -> String {
        let Self { name, shown, .. } = self;
        let variadic = if self.is_variadic { "VARIADIC " } else { "" };
        let told = format!("{variadic}{name} {shown}");
        if self.is_optional() {
            format!("[{told}]")
        } else {
            told
        }
    }
}

/// What calls name an input, the number `at` from 0.
pub(super) fn name_of(at: usize, parameter: &Parameter) -> String {
    let number = || format!("${}", at + 1);
    parameter.name.clone().unwrap_or_else(number)
}
