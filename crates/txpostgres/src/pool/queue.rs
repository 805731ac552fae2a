//! Owns the order of the jobs that wait, one list for each class. Must not know why they wait.

use std::collections::VecDeque;

use super::policy::Class;

/// Jobs in the order of their submission, by class. What is known of a job's kind may change while
/// it waits: then it moves when it comes to the front of its list.
pub(crate) struct Queue<J> {
    lists: [VecDeque<J>; 3],
}

/// After a burst of more jobs than that a list gives its memory back.
const KEPT_CAPACITY: usize = 1024;

/// In which order the classes are asked. A job of an unknown kind may be a quick one.
pub(crate) const ORDER: [Class; 3] = [Class::Quick, Class::Unknown, Class::Slow];

impl<J> Default for Queue<J> {
    fn default() -> Self {
        Self {
            lists: Default::default(),
        }
    }
}

impl<J> Queue<J> {
    pub(crate) fn len(&self) -> usize {
        self.lists.iter().map(VecDeque::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lists.iter().all(VecDeque::is_empty)
    }

    pub(crate) fn list_is_empty(&self, class: Class) -> bool {
        self.lists[class as usize].is_empty()
    }

    pub(crate) fn push(&mut self, class: Class, job: J) {
        self.lists[class as usize].push_back(job);
    }

    /// Puts back a job that was taken before all others.
    pub(crate) fn push_first(&mut self, class: Class, job: J) {
        self.lists[class as usize].push_front(job);
    }

    pub(crate) fn front(&self, class: Class) -> Option<&J> {
        self.lists[class as usize].front()
    }

    pub(crate) fn pop(&mut self, class: Class) -> Option<J> {
        let list = &mut self.lists[class as usize];
        let job = list.pop_front();
        if list.is_empty() && list.capacity() > KEPT_CAPACITY {
            *list = VecDeque::new();
        }
        job
    }

    /// Moves the jobs at the fronts that are in the wrong list by now.
    pub(crate) fn sort_fronts(&mut self, class_of: impl Fn(&J) -> Class) {
        for class in ORDER {
            while let Some(job) = self.front(class) {
                let right = class_of(job);
                if right == class {
                    break;
                }
                if let Some(job) = self.pop(class) {
                    self.push(right, job);
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &J> {
        self.lists.iter().flatten()
    }

    /// Takes out all that `is_wanted` picks.
    pub(crate) fn take_all(&mut self, mut is_wanted: impl FnMut(&J) -> bool) -> Vec<J> {
        let mut taken = Vec::new();
        for list in &mut self.lists {
            if list.iter().any(&mut is_wanted) {
                let (out, left): (Vec<J>, VecDeque<J>) = {
                    let mut out = Vec::new();
                    let mut left = VecDeque::new();
                    for job in list.drain(..) {
                        if is_wanted(&job) {
                            out.push(job);
                        } else {
                            left.push_back(job);
                        }
                    }
                    (out, left)
                };
                *list = left;
                taken.extend(out);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_moves_when_its_kind_is_known() {
        let mut queue = Queue::default();
        for n in [1, 2, 3] {
            queue.push(Class::Unknown, n);
        }
        queue.push(Class::Quick, 10);
        let class_of = |job: &i32| match job {
            1 | 10 => Class::Quick,
            2 => Class::Slow,
            _ => Class::Unknown,
        };
        queue.sort_fronts(class_of);
        let order: Vec<_> = ORDER
            .into_iter()
            .flat_map(|class| std::iter::from_fn(move || Some(class)).take(2))
            .filter_map(|class| queue.pop(class))
            .collect();
        assert_eq!(order, [10, 1, 3, 2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn jobs_are_taken_out_wherever_they_wait() {
        let mut queue = Queue::default();
        for n in 0..6 {
            queue.push(ORDER[n % 3], n);
        }
        assert_eq!(queue.take_all(|n| n % 2 == 1), [3, 1, 5]);
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.iter().copied().collect::<Vec<_>>(), [0, 4, 2]);
    }
}
