//! Owns which times a key takes. Knows nothing of how they are written.

use std::time::Duration;

/// Which times a key takes.
#[derive(Debug)]
pub(in crate::config) struct Times {
    pub(in crate::config) least: Duration,
    pub(in crate::config) most: Duration,
    /// Whether 0 stands for no limit.
    pub(in crate::config) zero: bool,
    /// Whether PostgreSQL, or libpq, counts milliseconds at a key of this name.
    pub(in crate::config) elsewhere_millis: bool,
}

impl Times {
    /// Times from `least` to `most` milliseconds, or 0 for no limit.
    pub(super) const fn between(least: u64, most: u64) -> Self {
        Self {
            least: Duration::from_millis(least),
            most: Duration::from_millis(most),
            zero: true,
            elsewhere_millis: false,
        }
    }

    /// Times from `least` to `most` milliseconds. Here 0 is a time like any other, or none.
    pub(super) const fn within(least: u64, most: u64) -> Self {
        Self {
            zero: false,
            ..Self::between(least, most)
        }
    }

    /// The same, for a key that PostgreSQL counts in milliseconds.
    pub(super) const fn elsewhere_millis(self) -> Self {
        Self {
            elsewhere_millis: true,
            ..self
        }
    }

    pub(in crate::config) fn contain(&self, time: Duration) -> bool {
        (self.zero && time.is_zero()) || (self.least..=self.most).contains(&time)
    }

    /// "0 for no limit or from 1 to 600 seconds".
    pub(in crate::config) fn range(&self) -> String {
        format!(
            "{}from {} to {} seconds",
            if self.zero { "0 for no limit or " } else { "" },
            self.least.as_secs_f64(),
            self.most.as_secs_f64()
        )
    }
}
