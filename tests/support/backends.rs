//! The backends that tests of databases run on: one test for each that the program has.

pub use wampgres::config::Backend;

/// Makes a test for each backend of each function, which is given the backend: `name::adbapi` and
/// `name::txpostgres`.
macro_rules! on_each_backend {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[cfg(feature = "adbapi")]
            #[test]
            fn adbapi() {
                super::$test(crate::support::backends::Backend::Adbapi);
            }

            #[cfg(feature = "txpostgres")]
            #[test]
            fn txpostgres() {
                super::$test(crate::support::backends::Backend::Txpostgres);
            }
        }
    )+};
}
pub(crate) use on_each_backend;
