//! Arguments to command to exit code; owns no logic.

fn main() {}
