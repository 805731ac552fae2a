//! Owns what can answer the calls of a URI: a procedure with a text of its own, or the functions of a
//! name. Must not know where it is from.

use std::{num::NonZeroU64, sync::Arc};

use wamp::{Payload, Uri};

use super::{
    super::{Answer, Error, Invocation},
    function::Function,
    procedure::{ExplainOptions, Given, Procedure, ProcedureDescription, StatementPlan},
};

/// What answers the calls of a URI.
#[derive(Clone)]
pub(super) enum Target {
    Procedure(Arc<Procedure>),
    Function(Arc<Function>),
}

/// Where procedures are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From files and the configuration.
    Texts,
    /// From schemas.
    Schemas,
}

impl Target {
    pub(super) fn uri(&self) -> &Uri {
        match self {
            Self::Procedure(procedure) => &procedure.uri,
            Self::Function(function) => &function.uri,
        }
    }

    pub(super) fn origin(&self) -> Origin {
        match self {
            Self::Procedure(_) => Origin::Texts,
            Self::Function(_) => Origin::Schemas,
        }
    }

    pub(super) fn call(&self, call: &Invocation) -> Answer {
        match self {
            Self::Procedure(procedure) => procedure.call(call),
            Self::Function(function) => function.call(call),
        }
    }

    /// How many invocations may be under way at once.
    pub(super) fn concurrency(&self) -> Option<NonZeroU64> {
        match self {
            Self::Procedure(procedure) => procedure.concurrency(),
            Self::Function(function) => function.concurrency(),
        }
    }

    /// What is to be prepared before any call.
    pub(super) fn procedures(&self) -> Vec<Arc<Procedure>> {
        match self {
            Self::Procedure(procedure) => vec![procedure.clone()],
            Self::Function(function) => function.procedures(),
        }
    }

    /// Whether it is the same as another one in all that is written.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Procedure(a), Self::Procedure(b)) => a.plan.is_same(&b.plan),
            (Self::Function(a), Self::Function(b)) => a.is_same(b),
            (Self::Procedure(_), Self::Function(_)) | (Self::Function(_), Self::Procedure(_)) => {
                false
            }
        }
    }

    /// It as its callers see it: each function of a name by itself.
    pub(super) fn describe(&self) -> Vec<ProcedureDescription> {
        match self {
            Self::Procedure(procedure) => vec![procedure.describe()],
            Self::Function(function) => function.describe(),
        }
    }

    /// What PostgreSQL plans to do for a call with these arguments.
    ///
    /// # Blocking
    /// Until it has answered.
    pub(super) fn explain(
        &self,
        payload: &Payload,
        options: ExplainOptions,
    ) -> Result<Vec<StatementPlan>, Error> {
        match self {
            Self::Procedure(procedure) => {
                let arguments = Given::read(payload)?.ordered(&procedure.plan)?;
                procedure.explain(&arguments, options)
            }
            Self::Function(function) => function.explain(payload, options),
        }
    }

    /// What it takes, and what it does, for people.
    pub(super) fn told(&self) -> (String, &str) {
        match self {
            Self::Procedure(of) => (of.plan.takes(), of.plan.description()),
            Self::Function(of) => (of.takes(), of.description()),
        }
    }
}
