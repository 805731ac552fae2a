//! What callers see while the database fails, freezes or has too much to do: the whole way from
//! CALL to RESULT or ERROR. What the pool does about it is tested with the pool.

mod absent;
pub(crate) mod crowd;
mod descriptors;
mod frozen;
mod limits;
mod lost;
mod shares;
mod stopping;
mod turmoil;
pub(crate) mod workbench;
