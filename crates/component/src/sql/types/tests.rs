//! Owns the tests of types.
