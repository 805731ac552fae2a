//! Owns how work becomes messages, and which answers are expected for them. Must not know when that
//! is done, nor what becomes of the answers.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use bytes::BytesMut;
use sql::{
    Settings, Sql, Statement, Wanted,
    types::{Oid, Type},
};

use super::{
    encode,
    entry::{Entry, Kept, Step, Work},
    prepared::{Column, Prepared, Statements},
    report::{Error, value},
    shared::Shared,
    types, values,
};

/// The longest statement, in bytes.
const LONGEST: usize = 1 << 29;
/// A buffer that has grown beyond this is given back once its values are written.
const MOST_KEPT: usize = 64 << 10;
/// As many settings as a statement has parameters for.
const MOST_SETTINGS: usize = 32_767;

/// What is written, and what is expected for it.
pub(super) struct Wire {
    pub(super) steps: VecDeque<Step>,
    pub(super) statements: Statements,
    pub(super) shared: Arc<Shared>,
    /// A statement whose parameters are not known yet.
    pub(super) asking: Option<Asking>,
    /// The answer to that.
    pub(super) asked: Option<Arc<Prepared>>,
    /// Values that are converted and not yet written.
    values: BytesMut,
    planned: Vec<Planned>,
    /// Statements that were prepared already, and those that were not.
    pub(super) looked_up: (u64, u64),
    /// Stands for the session's own statements.
    own: Arc<Prepared>,
}

/// A statement that is asked for.
pub(super) struct Asking {
    name: Box<str>,
    sql: Sql,
    pub(super) params: Vec<u32>,
    pub(super) columns: Box<[Column]>,
}

/// A statement that can be written.
struct Planned {
    source: Source,
    /// Where its values end.
    end: usize,
}

enum Source {
    Prepared(Arc<Prepared>),
    /// To be prepared with parameters of these types.
    Known(Arc<[Type]>),
}

impl Wire {
    pub(super) fn new(shared: Arc<Shared>, statement_cache: usize) -> Self {
        let own = Prepared::new(Box::default(), "".into(), Arc::new([]));
        Self {
            steps: VecDeque::new(),
            statements: Statements::new(statement_cache),
            shared,
            asking: None,
            asked: None,
            values: BytesMut::new(),
            planned: Vec::new(),
            looked_up: (0, 0),
            own,
        }
    }

    /// Gives up what the cache has no room for.
    pub(super) fn close_dropped(&mut self, out: &mut Vec<u8>) {
        for name in self.statements.dropped.drain(..) {
            encode::close(out, &name);
            self.steps.push_back(Step::Closed);
        }
    }

    /// Converts the values of a work's next statements, up to one that must be asked for first.
    /// Nothing is written.
    pub(super) fn plan<T>(&mut self, entry: &Entry<T>) -> Result<(), Error> {
        self.values.clear();
        self.planned.clear();
        // What a step of an interaction was refused for cannot be mended, so it believes nobody.
        let believes = !entry.is_step();
        let mut at = entry.cursor;
        while let Some(Statement { sql, params, .. }) = entry.statement(at) {
            let source = if let Some(prepared) = self.asked.take() {
                Source::Prepared(prepared)
            } else if let Some(prepared) = self.statements.find(sql) {
                self.looked_up.0 += 1;
                Source::Prepared(prepared)
            } else {
                self.looked_up.1 += 1;
                match self.shared.params(sql).filter(|_| believes) {
                    Some(types) => Source::Known(types),
                    None => break,
                }
            };
            let begin = self.values.len();
            match &source {
                Source::Prepared(prepared) => {
                    values::write(&mut self.values, &prepared.params, params)?;
                }
                Source::Known(types) => {
                    // If they do not fit, the types may be others by now.
                    if values::write(&mut self.values, types, params).is_err() {
                        self.values.truncate(begin);
                        break;
                    }
                }
            }
            let end = self.values.len();
            self.planned.push(Planned { source, end });
            at += 1;
        }
        Ok(())
    }

    /// Writes what was planned.
    pub(super) fn write_planned<T>(&mut self, entry: &mut Entry<T>, out: &mut Vec<u8>) {
        let mut planned = std::mem::take(&mut self.planned);
        let mut begin = 0;
        for Planned { source, end } in planned.drain(..) {
            let Some(statement) = entry.statement(entry.cursor) else {
                break;
            };
            let prepared = match source {
                Source::Prepared(prepared) => prepared,
                // The same text may have been prepared by the statement before.
                Source::Known(types) => match self.statements.find(&statement.sql) {
                    Some(prepared) => prepared,
                    None => self.prepare(&statement.sql, types, out),
                },
            };
            encode::bind(out, &prepared.name, &self.values[begin..end]);
            begin = end;
            let (kept, most) = match (&entry.work, statement.wanted) {
                (Work::Stream { batch, .. }, _) => (Kept::Batch, *batch),
                (_, Wanted::Rows) => (Kept::Rows, 0),
                (_, Wanted::Count) => (Kept::Count, 0),
            };
            encode::execute(out, most);
            self.steps.push_back(Step::Bound(prepared.clone()));
            self.steps.push_back(Step::Run { prepared, kept });
            entry.cursor += 1;
            entry.has_run = true;
        }
        self.planned = planned;
        if self.values.capacity() > MOST_KEPT {
            self.values = BytesMut::new();
        }
    }

    /// Prepares a statement whose parameters are known, in the same write as its first run.
    fn prepare(&mut self, sql: &Sql, types: Arc<[Type]>, out: &mut Vec<u8>) -> Arc<Prepared> {
        let prepared = Prepared::new(self.statements.name(), sql.clone(), types);
        self.statements.insert(&prepared);
        encode::parse(
            out,
            &prepared.name,
            sql,
            prepared.params.iter().map(Type::oid),
        );
        encode::describe(out, &prepared.name);
        self.steps.extend([
            Step::Parsed {
                prepared: prepared.clone(),
                is_known: true,
            },
            Step::Params,
            Step::Columns(prepared.clone()),
        ]);
        prepared
    }

    /// Asks what a statement takes and gives.
    pub(super) fn ask(&mut self, sql: &Sql, is_kept: bool, out: &mut Vec<u8>) -> Result<(), Error> {
        if sql.contains('\0') {
            return Err(value(
                "error encoding message to server: string contains embedded null",
            ));
        }
        if sql.len() > LONGEST {
            return Err(value(format!(
                "the statement has more than {LONGEST} bytes"
            )));
        }
        let name = if is_kept {
            self.statements.name()
        } else {
            Box::default()
        };
        encode::parse(out, &name, sql, std::iter::empty());
        encode::describe(out, &name);
        encode::flush(out);
        let steps = [Step::ParsedUnkept, Step::AskedParams, Step::AskedColumns];
        self.steps.extend(steps);
        self.asking = Some(Asking {
            name,
            sql: sql.clone(),
            params: Vec::new(),
            columns: Box::default(),
        });
        Ok(())
    }

    /// The types of the statement that is asked for which nobody has looked up yet.
    pub(super) fn lacking(&self) -> Vec<u32> {
        let Some(asking) = &self.asking else {
            return Vec::new();
        };
        let columns = asking.columns.iter().map(|column| column.oid);
        let oids = asking.params.iter().copied().chain(columns);
        oids.filter(|oid| self.shared.r#type(*oid).is_none())
            .collect()
    }

    /// What was asked for, with all of its types.
    pub(super) fn take_asked(&mut self) -> Option<Arc<Prepared>> {
        let asking = self.asking.take()?;
        let found = |oid: u32| self.shared.r#type(oid).unwrap_or_else(|| types::lost(oid));
        let params = asking.params.iter().map(|oid| found(*oid)).collect();
        for column in &asking.columns {
            column.r#type.get_or_init(|| found(column.oid));
        }
        let prepared = Prepared::new(asking.name, asking.sql, params);
        let _ = prepared.columns.set(asking.columns);
        Some(prepared)
    }

    /// Nothing comes of what was asked for.
    pub(super) fn drop_asking(&mut self) {
        self.asked = None;
        // The server knows it by its name once it has described it.
        if let Some(Asking {
            name,
            params,
            columns,
            ..
        }) = self.asking.take()
            && !name.is_empty()
            && (!params.is_empty() || !columns.is_empty())
        {
            self.statements.dropped.push(name);
        }
    }

    /// Looks types up.
    pub(super) fn look_up(&mut self, oids: &[u32], version: Option<&str>, out: &mut Vec<u8>) {
        let columns = types::COLUMNS.map(|r#type| Column {
            name: Box::default(),
            oid: r#type.oid(),
            r#type: OnceLock::from(r#type),
        });
        let lookup = Prepared::new(Box::default(), "".into(), Arc::new([]));
        let _ = lookup.columns.set(columns.into());
        encode::parse(
            out,
            "",
            types::lookup(version),
            std::iter::once(Type::OID_ARRAY.oid()),
        );
        encode::bind(out, "", &oid_array(oids));
        encode::execute(out, 0);
        self.steps.extend([
            Step::ParsedUnkept,
            Step::Bound(lookup.clone()),
            Step::Run {
                prepared: lookup,
                kept: Kept::Types,
            },
        ]);
    }

    /// Runs a statement of the session's own, without parameters.
    pub(super) fn control(&mut self, sql: &str, out: &mut Vec<u8>) {
        self.own_statement(sql, Kept::Nothing, out);
    }

    fn own_statement(&mut self, sql: &str, kept: Kept, out: &mut Vec<u8>) {
        encode::parse(out, "", sql, std::iter::empty());
        encode::bind(out, "", &[0, 0, 0, 0]);
        encode::execute(out, 0);
        self.steps.push_back(Step::ParsedUnkept);
        self.steps.push_back(Step::Bound(self.own.clone()));
        self.steps.push_back(Step::Run {
            prepared: self.own.clone(),
            kept,
        });
    }

    /// Writes what a transaction begins with.
    pub(super) fn begin(&mut self, settings: &Settings, is_explicit: bool, out: &mut Vec<u8>) {
        if is_explicit {
            self.own_statement(&settings.begin_alone(), Kept::Beginning, out);
        }
        if settings.is_empty() {
            return;
        }
        self.set(settings, is_explicit, out);
        if let Some(before) = settings.get_before() {
            self.run_before(before, out);
        }
    }

    /// Writes what is set for a transaction.
    fn set(&mut self, settings: &Settings, is_explicit: bool, out: &mut Vec<u8>) {
        let read_only = settings.get_read_only() == Some(true) && !is_explicit;
        let read_only = read_only.then_some(("transaction_read_only", "on".into()));
        let count = settings.each().count() + usize::from(read_only.is_some());
        if count == 0 {
            return;
        }
        let (config, is_new) = self.statements.config(count);
        if is_new {
            let text = Type::TEXT.oid();
            encode::parse(
                out,
                &config.name,
                &config.sql,
                std::iter::repeat_n(text, 2 * count),
            );
            self.steps.push_back(Step::Parsed {
                prepared: config.clone(),
                is_known: false,
            });
        }
        let each: smallvec::SmallVec<[_; 8]> =
            read_only.into_iter().chain(settings.each()).collect();
        let texts = each
            .iter()
            .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        encode::bind_texts(out, &config.name, texts);
        encode::execute(out, 0);
        self.steps.push_back(Step::Bound(config));
        self.steps.push_back(Step::Run {
            prepared: self.own.clone(),
            kept: Kept::Beginning,
        });
    }

    /// Writes the statement that runs before those of a work.
    fn run_before(&mut self, before: &Sql, out: &mut Vec<u8>) {
        let prepared = self.statements.find(before).unwrap_or_else(|| {
            let name = self.statements.name();
            let prepared = Prepared::new(name, before.clone(), Arc::new([]));
            self.statements.insert(&prepared);
            encode::parse(out, &prepared.name, before, std::iter::empty());
            self.steps.push_back(Step::Parsed {
                prepared: prepared.clone(),
                is_known: false,
            });
            prepared
        });
        encode::bind(out, &prepared.name, &[0, 0, 0, 0]);
        encode::execute(out, 0);
        self.steps.push_back(Step::Bound(prepared.clone()));
        self.steps.push_back(Step::Run {
            prepared,
            kept: Kept::Beginning,
        });
    }

    /// Ends a round.
    pub(super) fn sync(&mut self, out: &mut Vec<u8>) {
        encode::sync(out);
        self.steps.push_back(Step::Ready);
    }

    /// Sends a script.
    pub(super) fn query(&mut self, script: &str, out: &mut Vec<u8>) {
        encode::query(out, script);
        self.steps.push_back(Step::Script);
    }

    /// Reads on from the portal.
    pub(super) fn read_on(&mut self, prepared: Arc<Prepared>, batch: i32, out: &mut Vec<u8>) {
        encode::execute(out, batch);
        let kept = Kept::Batch;
        self.steps.push_back(Step::Run { prepared, kept });
        self.sync(out);
    }
}

/// Fails if settings cannot be said to PostgreSQL.
pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    settings.check()?;
    if settings.each().count() >= MOST_SETTINGS {
        return Err(Error::config("a transaction has too many settings"));
    }
    Ok(())
}

/// A parameter of numbers of types, as a Bind has it.
fn oid_array(oids: &[Oid]) -> Vec<u8> {
    let words = [1, 0, Type::OID.oid(), oids.len() as u32, 1];
    let each = oids.iter().flat_map(|oid| [4, *oid]);
    let array: Vec<u8> = words
        .into_iter()
        .chain(each)
        .flat_map(u32::to_be_bytes)
        .collect();
    let mut bytes = vec![0, 1, 0, 1, 0, 1];
    bytes.extend_from_slice(&(array.len() as u32).to_be_bytes());
    bytes.extend(array);
    bytes
}
