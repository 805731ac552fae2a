//! Owns what is asked of the function that runs before the statements: that it is there, and gives
//! nothing that somebody would have to look at. Must not run it.

use sql::{Description, types::Type};

use super::{super::super::super::Error, Describing, Fault, Procedure, is_fault};

impl Describing {
    /// Has PostgreSQL describe the call of the function, and goes on with the statements.
    pub(super) fn check_before(mut self) {
        let Procedure { callers, plan, .. } = &*self.procedure;
        let before = plan.options.before.as_ref();
        let Some(before) = before.filter(|_| plan.told.has_identity).cloned() else {
            return self.next();
        };
        let call = format!("SELECT {}()", before.name);
        let described = callers.describe(&plan.told, call.into());
        described.on_result(move |result| {
            let (why, error) = match result {
                Ok(description) if is_of_nothing(&description) => return self.next(),
                Ok(_) => {
                    let why = format!(
                        "{}() has to be a function that RETURNS void, because nobody looks at its \
                         result: let it RAISE an exception to refuse a call",
                        before.name
                    );
                    let error = Error::runtime(format_args!("the procedure has a fault: {why}"));
                    (why, error)
                }
                Err(error) if is_fault(&error) => {
                    let report = error.report();
                    let why = report.map_or_else(|| error.to_string(), |of| of.message.to_string());
                    (why, self.procedure.error(error))
                }
                Err(error) => return self.unavailable(error),
            };
            self.before = Some(Fault::new(before.place, format!("`before`: {why}")));
            self.error = Some(error);
            self.next();
        });
    }
}

fn is_of_nothing(description: &Description) -> bool {
    matches!(description.columns.as_slice(), [(_, r#type)] if *r#type == Type::VOID)
}
