//! What a session keeps of statements and types, and how it notices that the server has others, on
//! a real server.

use std::sync::Arc;

use sql::{
    ErrorKind, Job, Settings, params,
    types::{Kind, Type},
};

use super::{
    super::{Event, Outcome, Shared, Work},
    client::{Client, first, query, results, with},
};

fn kept(client: &mut Client) -> i64 {
    client.value("SELECT count(*) FROM pg_prepared_statements")
}

#[test]
fn what_the_cache_has_no_room_for_is_closed() {
    let mut client = Client::with(4, Arc::default());
    for n in 0..40 {
        let sql = format!("SELECT {n}");
        assert_eq!(client.value::<i32>(&sql), n);
    }
    let kept = kept(&mut client);
    assert!(kept <= 5, "{kept} are kept");
    assert_eq!(client.session.statement_counts(), (0, 41));
    client.value::<i64>("SELECT count(*) FROM pg_prepared_statements");
    assert_eq!(client.session.statement_counts(), (1, 41));
}

#[test]
fn parameters_that_one_session_has_asked_for_are_stated_by_the_others() {
    let shared = Arc::new(Shared::default());
    let sql = "SELECT $1::int8 + 1 AS n, $2::text";
    let statement = || sql::Statement::new(sql, params![1_i64, "x"]);
    for n in 0..3 {
        let mut client = Client::with(256, shared.clone());
        client.out.clear();
        client.send(Work::Job(statement().into()));
        // A Flush asks; a Sync ends what could be written whole.
        let end = if n == 0 { b'H' } else { b'S' };
        assert_eq!(client.out[client.out.len() - 5], end);
        let done = client
            .until(|event| matches!(event, Event::Done(..)))
            .unwrap();
        let Event::Done(_, Ok(outcome)) = done else {
            panic!("{done:?}");
        };
        let results = results(outcome);
        assert_eq!(first::<i64>(&results), 2);
        assert_eq!(results.first.columns().next().unwrap().name, "n");
    }
}

#[test]
fn nothing_is_kept_without_a_cache() {
    let shared = Arc::new(Shared::default());
    let mut client = Client::with(0, shared);
    for n in 0..3_i64 {
        let statement = with("SELECT $1::int8", vec![Box::new(n)]);
        assert_eq!(first::<i64>(&client.job(statement).unwrap()), n);
        let job =
            Job::new(query("SELECT current_setting('a.b')")).with(Settings::new().set("a.b", "c"));
        assert_eq!(first::<String>(&client.job(job).unwrap()), "c");
        client.run(Work::Begin(Settings::new())).unwrap();
        client.run(Work::InTransaction(query("SELECT 1"))).unwrap();
        client.run(Work::Commit).unwrap();
        assert_eq!(kept(&mut client), 0);
    }
}

#[test]
fn a_discard_under_the_session_costs_nobody_anything() {
    let mut client = Client::new();
    let settings = Settings::new().set("a.b", "c");
    for _ in 0..3 {
        let mut sent = Vec::new();
        for n in 0..10_i64 {
            sent.push(client.send(Work::Job(with("SELECT $1::int8", vec![Box::new(n)]).into())));
            let job = Job::new(query("SELECT 7::int8")).with(settings.clone());
            sent.push(client.send(Work::Job(job)));
            if n == 4 {
                client.send(Work::Simple("DISCARD ALL".into()));
            }
        }
        for work in sent {
            client.end(work).unwrap();
        }
    }
    // By a function, so that no tag tells.
    client.all(&[
        "CREATE OR REPLACE FUNCTION forget() RETURNS int LANGUAGE plpgsql AS \
         $$ BEGIN DEALLOCATE ALL; RETURN 1; END $$",
    ]);
    for _ in 0..3 {
        let sent: Vec<_> = ["SELECT forget()", "SELECT 1", "SELECT 2", "SELECT 1"]
            .into_iter()
            .map(|sql| client.send(Work::Job(query(sql).into())))
            .collect();
        for work in sent {
            client.end(work).unwrap();
        }
    }
}

#[test]
fn a_schema_that_changes_under_prepared_statements_costs_nobody_anything() {
    let shared = Arc::new(Shared::default());
    let mut clients = [(); 3].map(|()| Client::with(256, shared.clone()));
    let all = || Job::new(query("SELECT * FROM changing"));
    let insert = || {
        Job::new(with(
            "INSERT INTO changing VALUES ($1)",
            vec![Box::new("1")],
        ))
    };
    clients[0].all(&[
        "DROP TABLE IF EXISTS changing",
        "CREATE TABLE changing (a text)",
    ]);
    clients[0].job(insert()).unwrap();
    for (n, change) in [
        "SELECT 1",
        "ALTER TABLE changing ADD COLUMN b int",
        "ALTER TABLE changing ALTER COLUMN a TYPE varchar(9)",
        "ALTER TABLE changing DROP COLUMN b",
    ]
    .into_iter()
    .enumerate()
    {
        let other = &mut clients[n % 3];
        other.all(&[change]);
        for client in &mut clients {
            let columns = usize::from((1..3).contains(&n)) + 1;
            let sent = [(); 8].map(|()| client.send(Work::Job(all())));
            for work in sent {
                let results = client.end(work).map(results).unwrap();
                assert_eq!(results.first.columns().len(), columns, "{change}");
            }
            let job = all().with(Settings::new().read_only(true));
            assert_eq!(client.job(job).unwrap().first.columns().len(), columns);
        }
    }
    // Now the parameter has another type, and who states the old one is refused.
    clients[0].all(&["DROP TABLE changing", "CREATE TABLE changing (a int)"]);
    let [first, second, _] = &mut clients;
    let number = || with("INSERT INTO changing VALUES ($1)", vec![Box::new(1_i32)]);
    let error = first.job(number()).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Value,
        "its statement is prepared for text: {error}"
    );
    assert!(second.job(number()).is_ok(), "it has to prepare it");
}

#[test]
fn types_that_users_have_made_are_looked_up_with_all_their_parts() {
    let mut client = Client::new();
    client.all(&[
        "DROP SCHEMA IF EXISTS made CASCADE",
        "CREATE SCHEMA made",
        "CREATE TYPE made.mood AS ENUM ('glad', 'sad')",
        "CREATE DOMAIN made.feeling AS made.mood",
        "CREATE TYPE made.pair AS (n int, feelings made.feeling[])",
        "CREATE TYPE made.spans AS RANGE (SUBTYPE = float8, MULTIRANGE_TYPE_NAME = made.many_spans)",
    ]);
    let sql = "SELECT $1::made.mood AS mood, NULL::made.pair AS pair, NULL::made.pair[] AS pairs, \
               NULL::made.spans AS spans, NULL::made.many_spans AS many";
    let Ok(Outcome::Description(described)) =
        client.run(Work::Describe(Settings::new(), sql.into()))
    else {
        panic!("no description");
    };
    let mood = described.params[0].clone();
    assert_eq!((mood.name(), mood.schema()), ("mood", "made"));
    assert_eq!(*mood.kind(), Kind::Enum(vec!["glad".into(), "sad".into()]));
    let kinds: Vec<&Type> = described.columns.iter().map(|(_, r#type)| r#type).collect();
    assert_eq!(*kinds[0], mood);
    let Kind::Composite(fields) = kinds[1].kind() else {
        panic!("{:?}", kinds[1]);
    };
    assert_eq!((fields[0].name(), fields[0].type_()), ("n", &Type::INT4));
    let Kind::Array(feeling) = fields[1].type_().kind() else {
        panic!("{fields:?}");
    };
    assert_eq!(*feeling.kind(), Kind::Domain(mood.clone()));
    assert_eq!(*kinds[2].kind(), Kind::Array(kinds[1].clone()));
    assert_eq!(*kinds[3].kind(), Kind::Range(Type::FLOAT8));
    assert_eq!(*kinds[4].kind(), Kind::Multirange(Type::FLOAT8));

    let row = client
        .job(query(
            "SELECT 'sad'::made.mood, ROW(1, '{glad}')::made.pair",
        ))
        .unwrap();
    assert_eq!(row.first.row(0).unwrap().value(0), Some(&b"sad"[..]));
    assert_eq!(row.first.columns().next().unwrap().r#type.name(), "mood");
}

/// They run before it is known what their columns are.
#[test]
fn results_whose_types_are_new_wait_for_them_and_so_does_what_comes_behind() {
    let shared = Arc::new(Shared::default());
    let [mut first, mut second] = [(); 2].map(|()| Client::with(256, shared.clone()));
    first.all(&[
        "DROP SCHEMA IF EXISTS late CASCADE",
        "CREATE SCHEMA late",
        "CREATE TABLE late.a (n int)",
    ]);
    let all = "SELECT * FROM late.a";
    first.all(&[
        all,
        "CREATE TYPE late.mood AS ENUM ('glad')",
        "ALTER TABLE late.a ADD COLUMN m late.mood",
    ]);
    let sent: Vec<_> = [all, "SELECT 1", all, all, "SELECT 2"]
        .into_iter()
        .map(|sql| second.send(Work::Job(query(sql).into())))
        .collect();
    assert_eq!(second.session.in_flight(), 5);
    while second.session.in_flight() > 0 {
        second.turn().unwrap();
    }
    let order = second.events.iter().filter_map(|event| match event {
        Event::Done(work, Ok(Outcome::Results(results))) => {
            let last = results.first.columns().last().unwrap();
            Some((*work, last.r#type.name().to_owned()))
        }
        _ => None,
    });
    let order: Vec<_> = order.collect();
    let names = ["mood", "int4", "mood", "mood", "int4"].map(str::to_owned);
    assert_eq!(order, sent.into_iter().zip(names).collect::<Vec<_>>());
}

#[test]
fn a_copy_with_the_client_is_refused_and_the_session_is_used_on() {
    let mut client = Client::new();
    client.all(&["CREATE TEMPORARY TABLE copied (n int)"]);
    for sql in [
        "COPY copied FROM STDIN",
        "COPY copied TO STDOUT",
        "COPY (SELECT 1) TO STDOUT",
    ] {
        let error = client.job(query(sql)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("COPY"), "{error}");
        let error = client.run(Work::Simple(sql.to_owned().into())).unwrap_err();
        assert!(error.to_string().contains("COPY"), "{error}");
        assert_eq!(client.value::<i32>("SELECT 1"), 1);
    }
    // What the words do not tell, the server does.
    for sql in ["COPY U&\"copied\" FROM STDIN", "COPY copied FROM STDIN"] {
        let job = Job::new(query(sql)).then(query("SELECT 1"));
        assert!(client.job(job).is_err());
        assert_eq!(client.value::<i32>("SELECT 1"), 1);
    }
    client
        .job(query("COPY copied FROM PROGRAM 'echo 7'"))
        .unwrap();
    assert_eq!(client.value::<i32>("SELECT n FROM copied"), 7);
}

#[test]
fn notices_come_to_their_job_and_no_more_than_can_be_used() {
    let mut client = Client::new();
    let raise = "DO $$ BEGIN FOR n IN 1..20000 LOOP RAISE NOTICE 'note %', n; END LOOP; END $$";
    let work = client.send(Work::Job(query(raise).into()));
    client.end(work).unwrap();
    let (mut handed_out, mut left_out) = (0, 0);
    for event in client.events.drain(..) {
        match event {
            Event::Notice { of_head, report } => {
                handed_out += 1;
                assert!(of_head && report.message.starts_with("note "));
            }
            Event::NoticesLeftOut(count) => left_out += count,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(handed_out + left_out, 20_000);
    assert!(left_out > 0, "each came alone");
}

#[test]
fn a_report_that_is_too_long_is_cut_off() {
    let mut client = Client::new();
    for _ in 0..2 {
        let raise = "DO $$ BEGIN RAISE 'a%', repeat('b', 1000000); END $$";
        let error = client.job(query(raise)).unwrap_err();
        assert_eq!(error.sqlstate(), Some("P0001"));
        let length = error.report().unwrap().message.len();
        assert!((60_000..70_000).contains(&length), "{length}");
        assert_eq!(client.value::<i32>("SELECT 1"), 1);
    }
}

#[test]
fn what_ends_under_its_statements_says_so() {
    let mut client = Client::new();
    let end = client.send(Work::Job(
        query("SELECT pg_terminate_backend(pg_backend_pid())").into(),
    ));
    let behind = client.send(Work::Job(query("SELECT 1").into()));
    let error = client.end(end).unwrap_err();
    assert_eq!(
        (error.kind(), error.sqlstate()),
        (ErrorKind::ConnectionLost, Some("57P01"))
    );
    let lost: Vec<_> = client
        .session
        .lose(0)
        .map(|(work, left)| (work, left.is_some()))
        .collect();
    assert_eq!(lost, [(end, false), (behind, true)]);
}

#[test]
fn a_cancelled_job_is_handed_back() {
    let (mut client, mut other) = (Client::new(), Client::new());
    let pid = client.session.cancel_key().unwrap().process_id;
    client.send(Work::Job(query("SELECT pg_sleep(60)").into()));
    let slow =
        std::thread::spawn(move || client.until(|event| matches!(event, Event::Stopped(..))));
    // A request that comes while the statement is only being prepared stops nothing.
    while !slow.is_finished() {
        other.all(&[&format!("SELECT pg_cancel_backend({pid})")]);
    }
    let Ok(Event::Stopped(1, Work::Job(_), error)) = slow.join().unwrap() else {
        panic!("it was not handed back");
    };
    assert_eq!(error.sqlstate(), Some("57014"));
}
