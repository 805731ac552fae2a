//! Owns what can answer the calls of a URI: a procedure with a text of its own, or the functions of a
//! name. Must not know where it is from.

use std::{num::NonZeroU64, sync::Arc};

use wamp::Uri;

use super::{
    super::{Answer, Invocation},
    function::Function,
    procedure::Procedure,
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

    /// What it takes, and what it does, for people.
    pub(super) fn told(&self) -> (String, &str) {
        match self {
            Self::Procedure(of) => (of.plan.takes(), of.plan.description()),
            Self::Function(of) => (of.takes(), of.description()),
        }
    }
}
