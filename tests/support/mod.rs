//! What the tests share: nodes, databases, clients. Owns no assertion about the product.

pub mod answer;
pub mod autobahn;
pub mod backends;
pub mod browser;
pub mod cli;
pub mod example;
pub mod fake_router;
pub mod http;
pub mod in_process;
pub mod node;
pub mod port;
pub mod postgres;
pub mod python_datetime;
pub mod round_trips;
pub mod wait;
pub mod websocket;
