//! Arguments to command to exit code, and the allocator of the program; owns no logic.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;
use wampgres::{cli, component::Classes};

/// glibc's keeps what large messages took for as long as the process lives. This one has threads of
/// its own that give back what has not been used for ten seconds; docs/performance.md has the
/// figures.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    cli::run(&Classes::default())
}
