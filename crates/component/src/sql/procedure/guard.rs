//! Owns how PostgreSQL itself is made to keep the limits of a procedure: it reads no more rows than
//! the node takes, and undoes a statement that changes too many. Must not know how statements are
//! run.

use sql::{Description, Sql};

use super::{
    super::{options::Returns, text::Verb},
    plan::Plan,
};

/// What stands in the error that PostgreSQL raises for too many rows, before their number.
const MARK: &str = "wampgres: rows above ";

/// A limit that a statement has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    MaxRows(u64),
    MaxAffected(u64),
    /// The answer is made of one.
    OneRow,
}

/// A statement that keeps the limits of the plan, and whether it may be left out if PostgreSQL does
/// not take it.
pub(super) fn guarded(
    plan: &Plan,
    verb: Verb,
    sql: &str,
    description: &Description,
    returns: Returns,
) -> Option<(Sql, bool)> {
    let is_of_rows = returns.is_of_rows();
    match verb {
        Verb::Query if is_of_rows => {
            // One more shows that there are more.
            let most = match returns {
                Returns::Row | Returns::Value => 2,
                _ => plan.max_rows.saturating_add(1),
            };
            Some((
                format!("SELECT * FROM ({sql}) AS result LIMIT {most}").into(),
                true,
            ))
        }
        Verb::Change => {
            let affected = plan.options.max_affected.map(Limit::MaxAffected);
            let rows = is_of_rows.then_some(Limit::MaxRows(plan.max_rows));
            let limit = affected
                .into_iter()
                .chain(rows)
                .min_by_key(|limit| limit.most())?;
            let guard = changing(sql, description, limit);
            Some((guard, plan.options.max_affected.is_none()))
        }
        Verb::Volatile if is_of_rows => {
            let limit = match returns {
                Returns::Row | Returns::Value => Limit::OneRow,
                _ => Limit::MaxRows(plan.max_rows),
            };
            Some((counted(sql, limit), true))
        }
        Verb::Query | Verb::Volatile | Verb::Other => None,
    }
}

/// The same statement for a stream, whose rows have no limit.
pub(super) fn streamed(plan: &Plan, verb: Verb, sql: &Sql, description: &Description) -> Sql {
    let limit = plan.options.max_affected.map(Limit::MaxAffected);
    let limit = limit.filter(|_| verb == Verb::Change);
    limit.map_or_else(|| sql.clone(), |limit| changing(sql, description, limit))
}

/// A statement that PostgreSQL undoes with an error if it changes more rows than it may.
fn changing(sql: &str, description: &Description, limit: Limit) -> Sql {
    let returning = if description.columns.is_empty() {
        " RETURNING 1"
    } else {
        ""
    };
    counted(&format!("{sql}{returning}"), limit)
}

/// A statement that fails if its rows are too many, when it has given all of them.
fn counted(sql: &str, limit: Limit) -> Sql {
    let (most, told) = (limit.most(), limit.told());
    format!(
        "WITH given AS ({sql}) SELECT * FROM given WHERE (SELECT CASE WHEN count(*) > {most} \
         THEN CAST('{MARK}{told}: ' || count(*) AS bool) ELSE true END FROM given)"
    )
    .into()
}

/// What a caller is told of an error that such a statement has raised: whether it is of the result,
/// and the words.
pub(super) fn told(error: &sql::Error) -> Option<(bool, String)> {
    let message = &error.report()?.message;
    let (_, told) = message.split_once(MARK)?;
    let (limit, count) = told.split_once(": ")?;
    let (option, most) = limit.split_once(' ')?;
    let count = count.trim_end_matches('"');
    let what = match option {
        "one" => format!("answers with one row, and its function gave {count}"),
        "max_rows" => format!("gives {count} rows, more than {most}, its `max_rows`"),
        _ => format!("changes {count} rows in a statement, more than {most}, its `{option}`"),
    };
    let why = format!("the procedure {what}; all that the call did is undone");
    Some((option == "max_rows", why))
}

impl Limit {
    fn most(self) -> u64 {
        match self {
            Self::MaxRows(most) | Self::MaxAffected(most) => most,
            Self::OneRow => 1,
        }
    }

    fn told(self) -> String {
        match self {
            Self::MaxRows(most) => format!("max_rows {most}"),
            Self::MaxAffected(most) => format!("max_affected {most}"),
            Self::OneRow => "one row".to_owned(),
        }
    }
}
