//! Owns the statement that calls a function or a procedure, and what its result is. Must not know the
//! values.

use super::{
    super::{
        catalogue::{Mode, Parameter, Routine, RoutineKind, TypeKind, Volatility},
        options::Returns,
        text::Verb,
    },
    input::Input,
};

/// How a call is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `SELECT * FROM f()`
    Rows,
    /// The columns of its only row, and no row if it gives NULL.
    Row,
    /// `SELECT f()`: where the columns are not known, and where it can have any type.
    Value,
    /// `CALL p()`
    Call,
}

impl Form {
    pub(super) fn of(routine: &Routine) -> Self {
        let outputs = routine.outputs().count();
        let is_row = outputs > 1 || routine.result_kind == TypeKind::Composite;
        let is_any = routine.result_kind == TypeKind::Pseudo && outputs == 0 && !is_void(routine);
        match routine.kind {
            RoutineKind::Procedure => Self::Call,
            _ if is_any => Self::Value,
            _ if is_row && !routine.returns_set => Self::Row,
            _ => Self::Rows,
        }
    }

    /// What the answer is made of where nothing is said about it.
    pub(super) fn returns(self, routine: &Routine) -> Returns {
        let is_named = routine.outputs().any(|output| output.name.is_some())
            || routine.outputs().count() > 1
            || routine.result_kind == TypeKind::Composite;
        match self {
            _ if is_void(routine) => Returns::None,
            Self::Call if routine.outputs().next().is_none() => Returns::None,
            Self::Call => Returns::Row,
            _ if routine.returns_set && is_named => Returns::Rows,
            _ if routine.returns_set => Returns::Values,
            _ if is_named => Returns::Row,
            _ => Returns::Value,
        }
    }

    /// What kind of statement the call is. One row alone needs no limit, and neither does a CALL.
    pub(super) fn verb(self, routine: &Routine) -> Verb {
        match routine.volatility {
            _ if !routine.returns_set => Verb::Other,
            Volatility::Volatile => Verb::Volatile,
            Volatility::Stable | Volatility::Immutable => Verb::Query,
        }
    }
}

fn is_void(routine: &Routine) -> bool {
    routine.result_kind == TypeKind::Pseudo && routine.result == "void"
}

/// A parameter that may stand in the call.
struct Slot<'a> {
    parameter: &'a Parameter,
    /// What stands there; `None` where its default is to apply.
    value: Option<String>,
}

/// All parameters that a call can have, with what stands for those that are given: a bit for each
/// input, the first one the lowest.
fn slots<'a>(routine: &'a Routine, inputs: &[Input], given: u128) -> Vec<Slot<'a>> {
    let is_procedure = routine.kind == RoutineKind::Procedure;
    let (mut slots, mut numbers) = (Vec::new(), 1..);
    let mut inputs = inputs.iter().enumerate();
    for parameter in &routine.parameters {
        let value = if parameter.mode.takes() {
            let Some((at, input)) = inputs.next() else {
                break;
            };
            let is_given = given & (1 << at) != 0;
            let number = is_given.then(|| numbers.next()).flatten();
            number.map(|number: u32| format!("${number}::{}", input.r#type))
        } else if is_procedure {
            // A CALL has something for them too.
            Some(format!("NULL::{}", parameter.r#type))
        } else {
            continue;
        };
        slots.push(Slot { parameter, value });
    }
    slots
}

/// How many slots are written by their position, because the last of them has no name.
fn by_position(slots: &[Slot<'_>]) -> usize {
    let is_unnamed = |slot: &Slot<'_>| slot.value.is_some() && slot.parameter.name.is_none();
    slots.iter().rposition(is_unnamed).map_or(0, |at| at + 1)
}

/// Whether a call can be written with these: none is left out before one that has no name.
pub(super) fn is_gapless(routine: &Routine, inputs: &[Input], given: u128) -> bool {
    let slots = slots(routine, inputs, given);
    slots[..by_position(&slots)]
        .iter()
        .all(|slot| slot.value.is_some())
}

/// The call with the inputs that are given, of which the first is `$1`.
pub(super) fn statement(routine: &Routine, form: Form, inputs: &[Input], given: u128) -> String {
    let slots = slots(routine, inputs, given);
    let by_position = by_position(&slots);
    let argument = |(at, slot): (usize, &Slot<'_>)| {
        let value = slot.value.as_ref()?;
        let variadic = match slot.parameter.mode {
            Mode::Variadic => "VARIADIC ",
            _ => "",
        };
        let name = slot.parameter.quoted.as_ref();
        Some(match name.filter(|_| at >= by_position) {
            Some(name) => format!("{variadic}{name} => {value}"),
            None => format!("{variadic}{value}"),
        })
    };
    let arguments: Vec<_> = slots.iter().enumerate().filter_map(argument).collect();
    let call = format!("{}({})", routine.sql, arguments.join(", "));
    match form {
        Form::Rows => format!("SELECT * FROM {call}"),
        // OFFSET keeps PostgreSQL from calling it once for each column.
        Form::Row => format!(
            "SELECT (called.r).* FROM (SELECT {call} AS r OFFSET 0) AS called WHERE called.r IS \
             DISTINCT FROM NULL"
        ),
        Form::Value => format!("SELECT {call}"),
        Form::Call => format!("CALL {call}"),
    }
}
