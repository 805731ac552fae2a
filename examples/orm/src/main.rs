//! A node with a component whose procedures use Diesel's models. Owns the program; the class is
//! `shop.rs`'s.
//!
//! Diesel is synchronous, as SQLAlchemy is, and so at home on the workers of the pool. It needs
//! libpq (Debian's package `libpq-dev`) and the tables of `schema.sql`:
//!
//! ```sh
//! psql -h 127.0.0.1 -U testuser -f examples/orm/schema.sql test
//! cargo run -p orm -- --config examples/orm/config.json
//! ```
//!
//! Now any WAMP client can call, in the realm `realm1`: `com.example.stock_up` by name
//! (`{"name": "tea", "price": 2.5, "stock": 3}`), `com.example.goods()`, `com.example.sell(1, 2)`
//! and `com.example.report()`.

mod error;
mod models;
mod pool;
mod shop;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use wampgres::{cli, component::Classes};

fn main() -> ExitCode {
    cli::run(&Classes::default().with::<shop::Shop>("shop.Shop"))
}
