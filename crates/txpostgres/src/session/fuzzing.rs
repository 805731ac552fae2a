//! Owns what the fuzz target does: a session whose server says anything. Must not know who makes up
//! what it says.

use std::{fmt::Debug, fmt::Write as _, sync::Arc};

use sql::{ChannelBinding, Isolation, Job, Password, Rows, Settings, Statement, params};

use super::{Event, Login, Outcome, Session, SessionOptions, Shared, Work};

/// What the bytes before those of the server are: how large the pieces are that these come in, and
/// three bytes that say which of [`works`] are sent.
const HEADER: usize = 4;

/// Lets a server send `data` to a session that has work under way.
///
/// # Panics
/// If it matters in which pieces that comes, or if memory is taken for what did not come.
pub fn fuzz_session(data: &[u8]) {
    let Some((&[piece, a, b, c], bytes)) = data.split_first_chunk::<HEADER>() else {
        return;
    };
    let wanted = u32::from_be_bytes([0, a, b, c]);
    let is_wanted = |n: &usize| wanted >> n & 1 == 1;
    let wanted = || {
        let works = works().into_iter().enumerate();
        works.filter(|(n, _)| is_wanted(n)).map(|(_, work)| work)
    };
    let whole = replay(wanted(), bytes, bytes.len().max(1));
    let pieces = replay(wanted(), bytes, usize::from(piece).max(1));
    assert_eq!((&whole.told, whole.lasts), (&pieces.told, pieces.lasts));
    for replayed in [whole, pieces] {
        assert!(replayed.gathered <= 2 * bytes.len() + 1024);
        assert!(replayed.out.len() <= (256 << 10) + 64 * bytes.len());
    }
}

/// Work of all kinds; what it gives depends neither on time nor on chance.
pub(super) fn works() -> Vec<Work> {
    let query = |sql: &'static str| Statement::new(sql, ());
    let settings = Settings::new().set("app.user", "x").read_only(true);
    let serializable = settings.clone().isolation(Isolation::Serializable);
    let typed = Statement::new("SELECT $1::int8, $2::text, NULL::int4", params![7_i64, "é"]);
    let failing = Job::new(query("SELECT 1")).then(query("SELECT 1 / 0"));
    let many = "SELECT generate_series(1, 9), repeat('x', 20)";
    let script = "SELECT 1; SELECT NULL; DO $$ BEGIN RAISE NOTICE 'a'; END $$";
    let seen = query("SELECT current_setting('app.user')");
    vec![
        Work::Job(typed.into()),
        Work::Job(Job::new(seen).with(settings.clone())),
        Work::Job(query(many).into()),
        Work::Job(failing),
        Work::Job(query("SELECT no_such_column").into()),
        Work::Describe(
            Settings::new(),
            "SELECT NULL::pg_catalog.pg_class[], $1::bool".into(),
        ),
        Work::Simple(script.into()),
        Work::Job(Job::new(query("SELECT 2")).with(serializable)),
        Work::Stream {
            settings,
            statement: query("SELECT generate_series(1, 5)"),
            batch: 9,
        },
        Work::Simple("LISTEN pieces; NOTIFY pieces, 'heard'; UNLISTEN pieces".into()),
        Work::Job(query("SELECT NULL::information_schema.sql_identifier").into()),
        Work::Job(query("COPY a FROM STDIN").into()),
        Work::Job(query("CALL no_such_procedure()").count().into()),
        Work::Begin(Settings::new()),
        Work::InTransaction(query("SELECT 1")),
        Work::InTransaction(query("SELECT 1 / 0")),
        Work::Commit,
        Work::Job(query("SELECT 1").into()),
    ]
}

/// What a session has made of what a server sent.
pub(super) struct Replayed {
    /// What it told its owner.
    pub(super) told: Vec<String>,
    /// What it wrote.
    pub(super) out: Vec<u8>,
    /// Whether it goes on.
    pub(super) lasts: bool,
    /// The most that it held of a message that was not whole.
    gathered: usize,
}

/// Has a session read `bytes` in pieces.
pub(super) fn replay(works: impl Iterator<Item = Work>, bytes: &[u8], piece: usize) -> Replayed {
    let options = SessionOptions { statement_cache: 8 };
    let mut session = Session::new(login(), Arc::new(Shared::default()), options);
    let (mut out, mut events, mut told) = (Vec::new(), Vec::new(), Vec::new());
    let started = session.start(&mut out);
    assert!(started.is_ok(), "nothing in the log-in has a NUL");
    for (n, work) in works.enumerate() {
        session.send(n, work, &mut out);
    }
    let (mut lasts, mut gathered) = (true, 0);
    for piece in bytes.chunks(piece) {
        lasts = session.receive(piece, &mut out, &mut events).is_ok();
        gathered = gathered.max(session.reader.capacity());
        told.extend(events.drain(..).filter_map(|event| shown(&event)));
        if !lasts {
            break;
        }
    }
    let lost = session
        .lose(0)
        .map(|(n, work)| format!("{n} lost: {}", work.is_some()));
    if !lasts {
        told.extend(lost);
    }
    Replayed {
        told,
        out,
        lasts,
        gathered,
    }
}

pub(super) fn login() -> Login {
    Login {
        user: "app".to_owned(),
        database: "postgres".to_owned(),
        password: Some(Password::new("secret")),
        application_name: "pieces".to_owned(),
        options: None,
        channel_binding: ChannelBinding::Prefer,
        binding: None,
        is_encrypted: false,
    }
}

/// An event with all that is in it. How many notices are handed out depends on the pieces.
fn shown<T: Debug>(event: &Event<T>) -> Option<String> {
    match event {
        Event::Notice { .. } | Event::NoticesLeftOut(_) => None,
        Event::Batch(rows) => Some(format!("batch {}", values(rows))),
        Event::Done(work, Ok(Outcome::Results(results))) => {
            let mut text = format!("{work:?}");
            for rows in results.iter() {
                let _ = write!(text, " {}", values(rows));
            }
            Some(text)
        }
        other => Some(format!("{other:?}")),
    }
}

fn values(rows: &Rows) -> String {
    let mut text = format!("({}", rows.affected());
    for column in rows.columns() {
        let _ = write!(text, ", {}: {:?}", column.name, column.r#type);
    }
    for row in rows.iter() {
        let values: Vec<_> = row.values().collect();
        let _ = write!(text, ", {values:?}");
    }
    text + ")"
}
