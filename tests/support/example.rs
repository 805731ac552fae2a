//! The examples' programs, which `cargo test` builds along with the tests. Owns no assertion about
//! the product.

use std::path::PathBuf;

/// The program of the example with this name.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program has a path");
    // target/PROFILE/deps/main-HASH
    let profile = test.ancestors().nth(2).expect("cargo puts it there");
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing: cargo build --examples",
        program.display()
    );
    program
}
