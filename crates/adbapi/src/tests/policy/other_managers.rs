//! Owns the tests of pools whose connections come from any r2d2 manager.

use std::{
    error::Error as StdError,
    fmt::Error as NoText,
    sync::{Arc, Mutex},
    time::Duration,
};

use r2d2::ManageConnection;

use super::{
    super::super::{Canceller, ConnectionPool, Error, R2d2},
    deferred, eventually, outcome,
};

/// A manager that knows nothing of pools like ours.
#[derive(Clone, Default)]
struct Texts(Arc<Mutex<Vec<String>>>);

impl Texts {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A connection on which one writes.
struct Text(Texts);

impl Text {
    fn write(&mut self, line: &str) -> Result<usize, NoText> {
        if line.is_empty() {
            return Err(NoText);
        }
        let mut lines = self.0.0.lock().unwrap();
        lines.push(line.to_owned());
        Ok(lines.len())
    }
}

impl Text {
    /// A step of a transaction, as another library might have it.
    fn say(&mut self, step: &str) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.write(step)?;
        Ok(())
    }
}

impl ManageConnection for Texts {
    type Connection = Text;
    type Error = NoText;

    fn connect(&self) -> Result<Text, NoText> {
        Ok(Text(self.clone()))
    }

    fn is_valid(&self, _: &mut Text) -> Result<(), NoText> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Text) -> bool {
        false
    }
}

fn pool(driver: R2d2<Texts>) -> ConnectionPool<R2d2<Texts>> {
    ConnectionPool::with_driver(driver)
        .cp_max(1)
        .cp_min(0)
        .build()
        .unwrap()
}

#[test]
fn a_closure_works_with_the_managers_own_connection() {
    let texts = Texts::default();
    let pool = pool(R2d2::new(texts.clone()));
    let job = pool.run_with_connection(|text| text.write("a").map_err(Error::custom));
    assert_eq!(outcome(job).unwrap(), 1);
    let failed = pool.run_interaction(|text| text.write("").map_err(Error::custom));
    let Err(Error::Custom(error)) = outcome(failed) else {
        panic!("not the closure's own error");
    };
    assert!(error.is::<NoText>());
    assert_eq!(texts.lines(), ["a"]);
}

#[test]
fn the_three_steps_make_each_closure_a_transaction() {
    let texts = Texts::default();
    let pool = pool(R2d2::new(texts.clone()).transactions(
        |text| text.say("BEGIN"),
        |text| text.say("COMMIT"),
        |text| text.say("ROLLBACK"),
    ));
    outcome(pool.run_interaction(|text| text.write("a").map_err(Error::custom))).unwrap();
    outcome(pool.run_with_connection(|text| text.write("").map_err(Error::custom))).unwrap_err();
    assert_eq!(texts.lines(), ["BEGIN", "a", "COMMIT", "BEGIN", "ROLLBACK"]);
}

#[test]
fn a_commit_that_fails_is_the_jobs_error_and_is_rolled_back() {
    let texts = Texts::default();
    let pool = pool(R2d2::new(texts.clone()).transactions(
        |_| Ok(()),
        |_| Err("no commit today".into()),
        |text| text.say("ROLLBACK"),
    ));
    let error = outcome(pool.run_interaction(|_| Ok(()))).unwrap_err();
    assert_eq!(error.to_string(), "no commit today");
    assert_eq!(texts.lines(), ["ROLLBACK"]);
}

#[test]
fn a_job_that_nothing_can_stop_is_answered_at_once_all_the_same() {
    let pool = pool(R2d2::new(Texts::default()));
    let (promise, go_on) = deferred::<()>();
    let job = pool.run_with_connection(move |_| go_on.wait());
    eventually("it runs", || pool.stats().busy == 1);
    job.cancel();
    let answer = job.wait_timeout(Duration::ZERO).expect("at once");
    assert!(matches!(answer, Err(Error::Cancelled)));
    promise.resolve(Ok(()));
    outcome(pool.run_with_connection(|_| Ok(()))).unwrap();
}

#[test]
fn a_manager_that_is_told_how_has_its_jobs_stopped() {
    let (promise, go_on) = deferred::<()>();
    let promise = Mutex::new(Some(promise));
    let stop: Canceller = Arc::new(move || {
        if let Some(promise) = promise.lock().unwrap().take() {
            promise.resolve(Err(Error::custom("stopped")));
        }
    });
    let asked = Texts::default();
    let pool = pool(R2d2::new(asked.clone()).canceller(move |text| {
        text.say("who are you?").ok()?;
        Some(stop.clone())
    }));
    let job = pool.run_with_connection(move |_| go_on.wait());
    eventually("it runs", || pool.stats().busy == 1);
    job.cancel();
    assert!(matches!(outcome(job), Err(Error::Cancelled)));
    // A request that came late must not hit the next job: that has a new connection.
    outcome(pool.run_with_connection(|_| Ok(()))).unwrap();
    assert_eq!(asked.lines(), ["who are you?"; 2]);
}

#[test]
fn an_error_in_the_words_of_all_backends_counts_as_what_it_says() {
    let pool = pool(R2d2::new(Texts::default()));
    let conflict = sql::Report {
        sqlstate: "40001".into(),
        ..sql::Report::default()
    };
    let conflict = sql::Error::new(sql::ErrorKind::Database, "conflict").with_report(conflict);
    let error = conflict.clone();
    let failed = outcome(pool.run_interaction(|_| Err::<(), _>(error.into()))).unwrap_err();
    assert!(failed.is_retryable());
    assert_eq!(sql::Error::from(failed), conflict);
    assert_eq!(pool.stats().errors.database, 1);
}

#[test]
fn contradicting_settings_are_named() {
    let builder = ConnectionPool::with_driver(R2d2::new(Texts::default())).cp_max(0);
    let error = builder.build().map(drop).unwrap_err();
    assert!(error.to_string().contains("cp_max is 0"), "{error}");
}
