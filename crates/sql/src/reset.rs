//! Owns what becomes of what a job leaves in its session. Must not know how that is undone.

/// What happens to the things that a job leaves in its session: settings, the role, temporary
/// tables, open cursors, advisory locks, LISTEN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// They stay for the next job on the connection, as in Twisted.
    #[default]
    None,
    /// They are undone before the next job, as by `DISCARD ALL`; prepared statements stay.
    Discard,
}
