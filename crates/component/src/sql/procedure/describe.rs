//! Owns how a procedure is described to those who may call it: what it takes and gives, with types for
//! people and for TypeScript. Must not know who asks.

use serde::Serialize;
use serde_json::value::RawValue;
use sql::types::Type;

use super::{
    super::{
        options::Returns,
        types::{Argument, Forms, type_name, typescript, typescript_of},
    },
    Procedure,
    plan::Plan,
    prepare::{Prepared, PreparedStatement},
};

/// A procedure as its callers see it.
#[derive(Clone, Debug, Serialize)]
pub struct ProcedureDescription {
    /// Its URI. Functions of one name have one each, with other parameters.
    procedure: String,
    description: String,
    parameters: Vec<ParameterDescription>,
    /// Whether all keyword arguments are its one argument.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    takes_all: bool,
    /// Whether PostgreSQL has described it. Without that there are no types and no results here.
    prepared: bool,
    /// The result, without a name, or the named ones of several statements; none is null.
    results: Vec<ResultDescription>,
    #[serde(skip)]
    is_secret: bool,
}

#[derive(Clone, Debug, Serialize)]
struct ParameterDescription {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    typescript: String,
    /// Whether a call may leave it out.
    optional: bool,
    /// Whether it takes all positional arguments that are left.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    variadic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Box<RawValue>>,
}

#[derive(Clone, Debug, Serialize)]
struct ResultDescription {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    returns: &'static str,
    columns: Vec<ColumnDescription>,
    typescript: String,
}

#[derive(Clone, Debug, Serialize)]
struct ColumnDescription {
    name: String,
    r#type: String,
    typescript: String,
}

impl Procedure {
    /// The procedure as its callers see it, with types where it is prepared.
    pub(in crate::sql) fn describe(&self) -> ProcedureDescription {
        let plan = &self.plan;
        let prepared = self.last_prepared();
        ProcedureDescription {
            procedure: self.uri.to_string(),
            description: plan.description().to_owned(),
            parameters: parameters(plan, prepared.as_deref()),
            takes_all: false,
            prepared: prepared.is_some(),
            results: prepared.map_or_else(Vec::new, |prepared| results(plan, &prepared)),
            is_secret: plan.is_secret,
        }
    }
}

/// What is known of a function's input besides its type.
pub(in crate::sql) struct InputDescription<'a> {
    pub(in crate::sql) name: &'a str,
    pub(in crate::sql) is_optional: bool,
    pub(in crate::sql) is_variadic: bool,
    pub(in crate::sql) default: Option<&'a Argument>,
}

impl ProcedureDescription {
    /// The same of a function with these inputs, of which it describes the call that has them all.
    pub(in crate::sql) fn of_function<'a>(
        mut self,
        inputs: impl Iterator<Item = InputDescription<'a>>,
        takes_all: bool,
    ) -> Self {
        for input in inputs {
            let mut parameters = self.parameters.iter_mut();
            if let Some(parameter) = parameters.find(|parameter| parameter.name == input.name) {
                parameter.optional = input.is_optional;
                parameter.variadic = input.is_variadic;
                let default = input.default.filter(|_| !self.is_secret);
                parameter.default = default.and_then(json_of);
            }
        }
        self.takes_all = takes_all;
        self
    }

    /// Its URI.
    pub fn procedure(&self) -> &str {
        &self.procedure
    }

    /// Whether PostgreSQL has described it.
    pub fn is_prepared(&self) -> bool {
        self.prepared
    }
}

fn json_of(argument: &Argument) -> Option<Box<RawValue>> {
    serde_json::from_str(argument.json()).ok()
}

fn parameters(plan: &Plan, prepared: Option<&Prepared>) -> Vec<ParameterDescription> {
    let described = plan.parameters.iter().map(|parameter| {
        let r#type = prepared.and_then(|prepared| type_of(plan, prepared, &parameter.name));
        let default = parameter.default.as_ref().filter(|_| !plan.is_secret);
        ParameterDescription {
            name: parameter.name.clone(),
            r#type: r#type.map(type_name),
            typescript: r#type.map_or_else(
                || "unknown".to_owned(),
                |r#type| or_null(&typescript(r#type)),
            ),
            optional: parameter.default.is_some(),
            variadic: false,
            default: default.and_then(json_of),
        }
    });
    described.collect()
}

/// The type of a parameter where it is first used.
fn type_of<'a>(plan: &Plan, prepared: &'a Prepared, name: &str) -> Option<&'a Type> {
    let statements = plan.statements.iter().zip(&prepared.statements);
    let mut uses = statements.flat_map(|(planned, prepared)| {
        let uses = planned.assembled.uses.iter().zip(&prepared.types);
        uses.map(|(used, r#type)| (&plan.source.parameters[*used].name, r#type))
    });
    uses.find_map(|(used, r#type)| (used == name).then_some(r#type))
}

fn results(plan: &Plan, prepared: &Prepared) -> Vec<ResultDescription> {
    let statements = plan.statements.iter().zip(&prepared.statements).enumerate();
    let of_answer = statements.filter(|(index, _)| plan.is_answer(*index));
    let described = of_answer.map(|(_, (planned, prepared))| ResultDescription {
        name: planned.result.as_deref().map(str::to_owned),
        returns: prepared.returns.word(),
        columns: columns(prepared, plan.forms),
        typescript: result_in_typescript(prepared, plan.forms),
    });
    described.collect()
}

fn columns(prepared: &PreparedStatement, forms: Forms) -> Vec<ColumnDescription> {
    if !prepared.returns.is_of_rows() {
        return Vec::new();
    }
    let columns = prepared.columns.iter();
    let described = columns.map(|(name, r#type)| ColumnDescription {
        name: name.clone(),
        r#type: type_name(r#type),
        typescript: or_null(&typescript_of(r#type, forms)),
    });
    described.collect()
}

/// The type of a result in TypeScript. PostgreSQL does not tell which columns are never NULL.
fn result_in_typescript(prepared: &PreparedStatement, forms: Forms) -> String {
    let typed = |r#type: &Type| or_null(&typescript_of(r#type, forms));
    let object = || {
        let fields = prepared.columns.iter().map(|(name, r#type)| {
            let name = serde_json::Value::from(name.as_str());
            format!("{name}: {}", typed(r#type))
        });
        format!("{{ {} }}", fields.collect::<Vec<_>>().join("; "))
    };
    let list = || {
        let items = prepared.columns.iter().map(|(_, r#type)| typed(r#type));
        format!("[{}]", items.collect::<Vec<_>>().join(", "))
    };
    match prepared.returns {
        Returns::Rows => format!("Array<{}>", object()),
        Returns::Arrays => format!("Array<{}>", list()),
        Returns::Row => or_null(&object()),
        Returns::Values => match prepared.columns.as_slice() {
            [(_, r#type)] => format!("Array<{}>", typed(r#type)),
            _ => "unknown".to_owned(),
        },
        // A caller that takes it in parts gets them by the way, and null at the end.
        Returns::Stream => format!("Array<{}> | null", object()),
        Returns::Value => match prepared.columns.as_slice() {
            [(_, r#type)] => typed(r#type),
            _ => "unknown".to_owned(),
        },
        Returns::Count => "number".to_owned(),
        Returns::None => "null".to_owned(),
    }
}

/// `unknown` has null in it.
fn or_null(typescript: &str) -> String {
    match typescript {
        "unknown" => "unknown".to_owned(),
        other => format!("{other} | null"),
    }
}
