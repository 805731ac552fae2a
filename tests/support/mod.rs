//! What the tests share: nodes, databases, clients. Owns no assertion about the product.

pub mod node;
pub mod wait;
