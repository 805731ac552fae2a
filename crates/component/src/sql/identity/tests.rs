//! Who calls, as PostgreSQL is told it.
