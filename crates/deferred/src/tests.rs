//! A result reaches whoever wants it, once, and a job can be ended from outside.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use super::*;

#[derive(Debug, PartialEq)]
enum Error {
    Cancelled,
    Dropped,
    Panicked,
    Closed,
    Custom,
}

impl Failure for Error {
    type Kind = ();

    fn cancelled() -> Self {
        Self::Cancelled
    }

    fn dropped() -> Self {
        Self::Dropped
    }

    fn panicked(_: &str) -> Self {
        Self::Panicked
    }

    fn kind(&self) {}

    fn callback_panicked(_: &str) {}
}

#[test]
fn wait_returns_what_another_thread_resolves() {
    let (promise, deferred) = deferred::<_, Error>();
    let waiting = thread::spawn(move || deferred.map(|n: i32| n + 1).wait());
    promise.resolve(Ok(41));
    assert_eq!(waiting.join().unwrap().unwrap(), 42);
}

#[test]
fn wait_timeout_hands_the_deferred_back() {
    let (promise, deferred) = deferred::<i32, Error>();
    let deferred = deferred.wait_timeout(Duration::from_millis(5)).unwrap_err();
    promise.resolve(Ok(1));
    assert_eq!(deferred.wait_timeout(Duration::ZERO).unwrap().unwrap(), 1);
}

#[test]
fn on_result_runs_on_the_resolving_thread_or_at_once() {
    let (sent, received) = mpsc::channel();
    let (promise, later) = deferred::<_, Error>();
    let now = Deferred::ready(Ok(thread::current().id()));
    for deferred in [later, now] {
        let sent = sent.clone();
        deferred.on_result(move |id| sent.send((id.unwrap(), thread::current().id())).unwrap());
    }
    thread::spawn(move || promise.resolve(Ok(thread::current().id())))
        .join()
        .unwrap();
    for (resolver, ran_on) in received.iter().take(2) {
        assert_eq!(resolver, ran_on);
    }
}

#[test]
fn a_dropped_promise_is_an_error() {
    let (promise, deferred) = deferred::<(), Error>();
    drop(promise);
    assert!(matches!(deferred.wait(), Err(Error::Dropped)));
}

#[test]
fn a_panic_in_a_callback_stays_there_and_is_told_to_whom_it_concerns() {
    let (promise, deferred) = deferred::<(), Error>();
    let mapped = deferred.map(|()| panic!("oh"));
    promise.resolve(Ok(()));
    assert!(matches!(mapped.wait(), Err(Error::Panicked)));
}

#[test]
fn the_first_result_wins() {
    let (promise, deferred) = deferred::<i32, Error>();
    promise.control().stop(Error::Closed);
    promise.resolve(Ok(1));
    assert!(matches!(deferred.wait(), Err(Error::Closed)));
}

#[test]
fn and_then_may_fail_and_errors_pass_by_map() {
    let failed = Deferred::ready(Ok(1)).and_then(|_| Err::<i32, _>(Error::Custom));
    let mapped = failed.map(|_| panic!("not reached")).wait();
    assert_eq!(mapped.map(|(): ()| ()), Err(Error::Custom));
}

/// Notes that it was asked to interrupt.
struct Interrupted(mpsc::Sender<()>);

impl Interrupt<Error> for Interrupted {
    fn interrupt(&self, _: Arc<dyn Control<Error>>) {
        self.0.send(()).unwrap();
    }
}

#[test]
fn a_job_that_runs_is_interrupted_and_its_deferred_fires_at_once_or_at_its_end() {
    for waits_for_the_end in [false, true] {
        let (promise, deferred) = deferred::<i32, Error>();
        let (sent, interrupted) = mpsc::channel();
        let interrupt: Arc<dyn Interrupt<Error>> = Arc::new(Interrupted(sent));
        let job = promise.control();
        assert!(job.take() && job.begin(&interrupt));
        let handle = deferred.cancel_handle();
        if waits_for_the_end {
            handle.cancel_on_end();
        } else {
            handle.cancel();
        }
        assert_eq!(interrupted.try_iter().count(), 1);
        let fired = deferred.wait_timeout(Duration::ZERO);
        assert_eq!(fired.is_ok(), !waits_for_the_end);
        assert_eq!(job.end(), Err(()));
        promise.resolve(Ok(1));
        let result = fired.unwrap_or_else(Deferred::wait);
        assert_eq!(result, Err(Error::Cancelled));
    }
}

#[test]
fn a_job_that_waits_can_expire_and_one_that_was_taken_cannot() {
    let (waiting, expired) = deferred::<i32, Error>();
    waiting.control().expire(Error::Closed);
    assert!(!waiting.control().take());
    assert_eq!(expired.wait(), Err(Error::Closed));

    let (taken, result) = deferred::<i32, Error>();
    assert!(taken.control().take());
    taken.control().expire(Error::Closed);
    taken.resolve(Ok(1));
    assert_eq!(result.wait(), Ok(1));
}

/// An error of whoever passes results on.
#[derive(Debug, PartialEq)]
struct Told(Error);

impl Failure for Told {
    type Kind = ();

    fn cancelled() -> Self {
        Self(Error::Cancelled)
    }

    fn dropped() -> Self {
        Self(Error::Dropped)
    }

    fn panicked(_: &str) -> Self {
        Self(Error::Panicked)
    }

    fn kind(&self) {}

    fn callback_panicked(_: &str) {}
}

#[test]
fn a_result_passed_on_with_another_error_still_cancels_its_job() {
    let (promise, deferred) = deferred::<i32, Error>();
    let told: Deferred<i32, Told> = deferred.map_result(|result| result.map_err(Told));
    told.cancel();
    assert!(!promise.control().take(), "the job is not to be run");
    assert_eq!(told.wait(), Err(Told(Error::Cancelled)));
}
