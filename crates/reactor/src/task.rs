//! Tasks: what runs on a reactor's thread without a socket. Owns their ids, their deadlines and
//! their end; must not know what they do.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use super::{
    deadlines::Deadlines,
    table::{Key, Table},
};

/// Something on a reactor's thread that has no socket: it gets mail, has a deadline, and can end.
///
/// All methods run on the reactor's thread and must not block. A panic ends only its call. The task
/// goes on, because others may wait for what it does with their mail.
pub trait Task<M>: Send {
    /// The task is on its reactor now; the first call of all.
    fn on_start(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }

    /// Mail from another thread, in the order it was posted. What was posted in time comes even
    /// after the reactor has ended.
    fn on_mail(&mut self, mail: M, context: &mut Context<'_>);

    /// The deadline set by [`Context::set_deadline`] has come, and is unset again.
    fn on_deadline(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }
}

/// The name of a task on its reactor. Never stands for a later task.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TaskId(Key);

/// What a task can do while it is called.
pub struct Context<'a> {
    /// This task.
    pub id: TaskId,
    /// When this iteration of the loop began.
    pub now: Instant,
    deadline: &'a mut Option<Instant>,
    has_ended: &'a mut bool,
}

impl Context<'_> {
    /// Asks to be called at `deadline`; replaces the deadline asked for before.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        *self.deadline = deadline;
    }

    /// Ends the task with this call: it is dropped, and mail that comes later with it.
    pub fn end(&mut self) {
        *self.has_ended = true;
    }
}

/// The tasks of one reactor.
pub(super) struct Tasks<M> {
    entries: Table<Entry<M>>,
    deadlines: Deadlines<TaskId>,
}

struct Entry<M> {
    task: Box<dyn Task<M>>,
    deadline: Option<Instant>,
}

impl<M> Tasks<M> {
    pub(super) fn new() -> Self {
        Self {
            entries: Table::new(),
            deadlines: Deadlines::default(),
        }
    }

    /// Adds a task and starts it. Reactors that add the same tasks in the same order, and have
    /// ended none, give the same ids.
    pub(super) fn add(&mut self, task: Box<dyn Task<M>>, now: Instant) -> TaskId {
        let id = TaskId(self.entries.insert(|_| Entry {
            task,
            deadline: None,
        }));
        self.call(id, now, Task::on_start);
        id
    }

    /// Hands mail to a task; mail for one that has ended is dropped.
    pub(super) fn deliver(&mut self, id: TaskId, mail: M, now: Instant) {
        self.call(id, now, |task, context| task.on_mail(mail, context));
    }

    /// When the next deadline comes up.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Calls the tasks whose deadline has come.
    pub(super) fn meet_deadlines(&mut self, now: Instant) {
        while let Some((at, id)) = self.deadlines.pop_due(now) {
            let Some(entry) = self.entries.get_mut(id.0) else {
                continue;
            };
            // It may have been changed since.
            if entry.deadline == Some(at) {
                entry.deadline = None;
                self.call(id, now, Task::on_deadline);
            }
        }
    }

    fn call(
        &mut self,
        id: TaskId,
        now: Instant,
        f: impl FnOnce(&mut (dyn Task<M> + 'static), &mut Context<'_>),
    ) {
        let Some(entry) = self.entries.get_mut(id.0) else {
            return;
        };
        let before = entry.deadline;
        let mut has_ended = false;
        let mut context = Context {
            id,
            now,
            deadline: &mut entry.deadline,
            has_ended: &mut has_ended,
        };
        // The panic has been reported by its hook; here it must not end the thread of others.
        let _ = catch_unwind(AssertUnwindSafe(|| f(entry.task.as_mut(), &mut context)));
        let deadline = entry.deadline;
        if has_ended {
            let entry = self.entries.remove(id.0);
            // A panic while it is dropped must not end the thread of others either.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(entry)));
            return;
        }
        if let Some(at) = deadline.filter(|_| deadline != before) {
            self.deadlines.push(at, id);
        }
    }
}

#[cfg(test)]
mod tests;
