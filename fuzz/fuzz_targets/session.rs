//! A PostgreSQL server that sends anything to a session of txpostgres. The corpus runs as a test of
//! that crate as well.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| txpostgres::fuzz_session(data));
