//! Owns the tables as Diesel sees them, and their rows as structs. Must not know who asks for them.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

diesel::table! {
    goods (id) {
        id -> Integer,
        name -> Text,
        price -> Double,
        stock -> Integer,
    }
}

diesel::table! {
    sales (id) {
        id -> BigInt,
        goods -> Integer,
        count -> Integer,
    }
}

diesel::joinable!(sales -> goods (goods));
diesel::allow_tables_to_appear_in_same_query!(goods, sales);

#[derive(Queryable, Selectable, Serialize)]
#[diesel(table_name = goods, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Goods {
    id: i32,
    name: String,
    price: f64,
    stock: i32,
}

#[derive(Deserialize, Insertable)]
#[diesel(table_name = goods)]
pub(crate) struct NewGoods {
    name: String,
    price: f64,
    #[serde(default)]
    stock: i32,
}

#[derive(Insertable)]
#[diesel(table_name = sales)]
pub(crate) struct NewSale {
    pub(crate) goods: i32,
    pub(crate) count: i32,
}
