//! Owns what PostgreSQL says of the roles: whether they can be used, and what they have set for
//! themselves by `ALTER ROLE ... SET`. Must not know who calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use sql::{Error, Isolation, Job, Settings, Statement, params};

use super::Callers;

/// A row for each role and each of its settings, those for all databases first.
const QUESTION: &str = "\
SELECT wanted.name, found.oid IS NOT NULL AS is_there,
    coalesce(pg_catalog.pg_has_role(session_user, found.oid,
        CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END),
        false) AS may,
    session_user::text AS login,
    (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user) AS is_super,
    entry.text AS entry,
    known.context
FROM unnest($1::text[]) AS wanted (name)
LEFT JOIN pg_catalog.pg_roles AS found ON found.rolname = wanted.name
LEFT JOIN pg_catalog.pg_db_role_setting AS stored ON stored.setrole = found.oid AND stored.setdatabase
    IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
LEFT JOIN LATERAL unnest(stored.setconfig) AS entry (text) ON true
LEFT JOIN pg_catalog.pg_settings AS known ON lower(known.name) = lower(split_part(entry.text, '=', 1))
ORDER BY stored.setdatabase";

/// Which parameters of superusers the login may set. PostgreSQL 15 and newer answer.
const GRANTED: &str = "\
SELECT parameter.name FROM unnest($1::text[]) AS parameter (name)
WHERE pg_catalog.has_parameter_privilege(session_user, parameter.name, 'SET')";

/// What PostgreSQL has said.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) at: Instant,
    /// By the role's name: what it is, or why it cannot be used.
    roles: BTreeMap<String, Result<DatabaseRole, String>>,
}

/// A role that can be used.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DatabaseRole {
    name: String,
    isolation: Option<Isolation>,
    is_read_only: bool,
    statement_timeout: Option<Duration>,
    others: BTreeMap<String, String>,
    /// What it has set and nobody can set for it, and why.
    left_out: BTreeMap<String, String>,
}

/// A row of the answer.
#[derive(serde::Deserialize)]
struct Line {
    name: String,
    is_there: bool,
    may: bool,
    login: String,
    is_super: bool,
    entry: Option<String>,
    context: Option<String>,
}

impl Known {
    /// A role of the table, or why it cannot be used.
    pub(super) fn role(&self, name: &str) -> Result<&DatabaseRole, &str> {
        match self.roles.get(name) {
            Some(Ok(role)) => Ok(role),
            Some(Err(fault)) => Err(fault),
            None => Err("PostgreSQL was not asked for it"),
        }
    }
}

impl DatabaseRole {
    /// Adds the role and what it has set for itself, of which what the procedure says goes before.
    pub(super) fn apply(&self, settings: Settings) -> Settings {
        let mut settings = settings.role(&*self.name);
        if let (None, Some(isolation)) = (settings.get_isolation(), self.isolation) {
            settings = settings.isolation(isolation);
        }
        if settings.get_read_only().is_none() && self.is_read_only {
            settings = settings.read_only(true);
        }
        if let (None, Some(limit)) = (settings.get_statement_timeout(), self.statement_timeout) {
            settings = settings.statement_timeout(limit);
        }
        for (name, value) in &self.others {
            settings = settings.set(name.clone(), &**value);
        }
        settings
    }

    /// Notes what it has set for itself, where that would act in a transaction.
    fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "role" | "session_authorization" => {
                return Err("a role that becomes another one is not served: name that in `roles`");
            }
            "default_transaction_deferrable" => {
                return Err("a transaction cannot be made deferrable when it has begun");
            }
            "default_transaction_isolation" => self.isolation = isolation(value),
            "default_transaction_read_only" => self.is_read_only = is_on(value),
            "statement_timeout" if time(value).is_some() => self.statement_timeout = time(value),
            _ => drop(self.others.insert(name.to_owned(), value.to_owned())),
        }
        Ok(())
    }
}

impl Callers {
    /// Asks PostgreSQL for all roles of the table, and tells when it is done.
    pub(in crate::sql) fn read(
        self: &Arc<Self>,
        then: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let entries = self.table.iter().flat_map(|table| table.entries());
        let wanted: BTreeSet<_> = entries.filter_map(|entry| entry.role.clone()).collect();
        if wanted.is_empty() {
            return then(Ok(()));
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        let this = self.clone();
        let asked = self
            .db
            .submit(Job::new(Statement::new(QUESTION, params![wanted])));
        asked.on_result(move |result| {
            match result.and_then(|results| results.first.deserialize()) {
                Ok(lines) => this.look_at(lines, then),
                Err(error) => then(Err(error)),
            }
        });
    }

    /// Finds out what of it the node may set, and notes it.
    fn look_at(
        self: &Arc<Self>,
        lines: Vec<Line>,
        then: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let of_superusers = |line: &&Line| !line.is_super && line.is_of_superusers();
        let asked: Vec<_> = (lines.iter().filter(of_superusers))
            .filter_map(|line| Some(line.entry.as_ref()?.split_once('=')?.0.to_owned()))
            .collect();
        if asked.is_empty() {
            self.note(&lines, &[]);
            return then(Ok(()));
        }
        let this = self.clone();
        let granted = self
            .db
            .submit(Job::new(Statement::new(GRANTED, params![asked])));
        granted.on_result(move |result| {
            // Before PostgreSQL 15 there was no such privilege.
            let granted = match result {
                Ok(results) => results.first.deserialize::<(String,)>().unwrap_or_default(),
                Err(error) if error.sqlstate().is_some() => Vec::new(),
                Err(error) => return then(Err(error)),
            };
            let granted: Vec<_> = granted.into_iter().map(|(name,)| name).collect();
            this.note(&lines, &granted);
            then(Ok(()));
        });
    }

    /// Notes what PostgreSQL has said, and logs what is not as it should be, once.
    fn note(&self, lines: &[Line], granted: &[String]) {
        let mut roles = BTreeMap::new();
        for line in lines {
            let role = roles
                .entry(line.name.clone())
                .or_insert_with(|| line.role());
            if let (Ok(role), Some((name, value))) = (role, line.setting()) {
                line.take(role, (name, value), granted);
            }
        }
        let known = Known {
            at: Instant::now(),
            roles,
        };
        let before = self.known();
        let before = before.as_deref();
        for (name, role) in &known.roles {
            if before.and_then(|before| before.roles.get(name)) != Some(role) {
                log(name, role);
            }
        }
        let mut slot = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Arc::new(known));
    }
}

fn log(name: &str, role: &Result<DatabaseRole, String>) {
    match role {
        Err(why) => {
            tracing::error!(target: crate::LOG, role = name, "a role of the database cannot be used: {why}");
        }
        Ok(role) => {
            for (parameter, why) in &role.left_out {
                tracing::warn!(target: crate::LOG, role = name, parameter, "what a role has set for itself is left out: {why}");
            }
        }
    }
}

impl Line {
    fn is_of_superusers(&self) -> bool {
        self.context.as_deref() == Some("superuser")
    }

    /// What the role has set: a name and its value.
    fn setting(&self) -> Option<(&str, &str)> {
        self.entry.as_deref()?.split_once('=')
    }

    fn role(&self) -> Result<DatabaseRole, String> {
        let Self { name, login, .. } = self;
        if !self.is_there {
            return Err(format!(
                "there is no role {name:?} in the database: CREATE ROLE \"{name}\""
            ));
        }
        if !self.may {
            return Err(format!(
                "{login:?} may not become {name:?}: GRANT \"{name}\" TO \"{login}\""
            ));
        }
        Ok(DatabaseRole {
            name: name.clone(),
            ..DatabaseRole::default()
        })
    }

    /// Notes what a role has set where this session may set it too.
    fn take(&self, role: &mut DatabaseRole, (name, value): (&str, &str), granted: &[String]) {
        let may = self.is_super || granted.iter().any(|granted| granted == name);
        let why = match self.context.as_deref() {
            Some("user") => None,
            Some("superuser") if may => None,
            Some("superuser") => Some(format!(
                "GRANT SET ON PARAMETER {name} TO \"{}\"",
                self.login
            )),
            Some(_) => Some("it can only be set when a session begins, or the server".to_owned()),
            None if matches!(name, "role" | "session_authorization") || name.contains('.') => None,
            None => Some("this server does not know it".to_owned()),
        };
        let why = why.or_else(|| role.set(name, value).err().map(str::to_owned));
        if let Some(why) = why {
            role.left_out.insert(name.to_owned(), why);
        }
    }
}

fn isolation(value: &str) -> Option<Isolation> {
    match &*value.to_ascii_lowercase() {
        "serializable" => Some(Isolation::Serializable),
        "repeatable read" => Some(Isolation::RepeatableRead),
        "read committed" | "read uncommitted" => Some(Isolation::ReadCommitted),
        _ => None,
    }
}

/// As PostgreSQL reads a boolean, of which the beginning is enough.
fn is_on(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str| !value.is_empty() && word.starts_with(&*value);
    value == "1" || value == "on" || begins("true") || begins("yes")
}

/// A time as PostgreSQL writes it: a number, and its unit unless it is milliseconds.
fn time(value: &str) -> Option<Duration> {
    let value = value.trim();
    let end = value.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = value.split_at(end.unwrap_or(value.len()));
    let factor = match unit.trim() {
        "us" => 0.000_001,
        "ms" | "" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * factor).ok()
}
