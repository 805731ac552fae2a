//! Owns the component: its procedures, which are queries by Diesel's models on the pool. Must not
//! know how the pool connects.

use std::num::NonZeroU64;

use diesel::{PgConnection, dsl::sum, prelude::*};
use wampgres::{
    adbapi,
    component::{Answer, Component, Error, Invocation, Procedure, Reply, Setup},
};

use super::{
    error::failed,
    models::{Goods, NewGoods, NewSale, goods, sales},
    pool::{self, Db, Settings},
};

/// How many reports run at once, at most: they take long, and others are to find a worker.
const REPORTS: NonZeroU64 = NonZeroU64::new(2).expect("two");

pub(crate) struct Shop {
    db: Db,
}

impl Component for Shop {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        // What is wrong with it could be the password, so that is not repeated.
        let settings: Settings = serde_json::from_value(setup.extra)
            .map_err(|_| Error::runtime("extra is to have the keys of examples/orm/config.json"))?;
        let db = pool::open(&settings)?;
        Ok(Self { db })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new("com.example.goods", Self::goods),
            Procedure::new("com.example.stock_up", Self::stock_up),
            Procedure::new("com.example.sell", Self::sell),
            Procedure::new("com.example.report", Self::report).concurrency(REPORTS),
        ]
    }

    /// The pool is the component's own, so nobody else closes it.
    fn on_leave(&self) {
        self.db.close();
    }
}

impl Shop {
    /// Everything there is.
    fn goods(&self, call: Invocation) -> Answer {
        let () = call.args()?;
        self.answer(|connection| {
            let all = goods::table.order(goods::id).select(Goods::as_select());
            all.load(connection).map_err(failed)
        })
    }

    /// Adds goods, and answers with their row.
    fn stock_up(&self, call: Invocation) -> Answer {
        let new: NewGoods = call.kwargs()?;
        self.answer(move |connection| {
            let insert = diesel::insert_into(goods::table).values(new);
            let insert = insert.returning(Goods::as_returning());
            insert.get_result(connection).map_err(failed)
        })
    }

    /// Sells goods if there are enough, and answers with how many are left. It is one transaction.
    fn sell(&self, call: Invocation) -> Answer {
        let (id, count): (i32, i32) = call.args()?;
        self.answer(move |connection| {
            let sale = NewSale { goods: id, count };
            let sale = diesel::insert_into(sales::table).values(sale);
            sale.execute(connection).map_err(failed)?;
            let enough = goods::table.find(id).filter(goods::stock.ge(count));
            let update = diesel::update(enough).set(goods::stock.eq(goods::stock - count));
            let left = update.returning(goods::stock).get_result::<i32>(connection);
            let sold_out = || adbapi::Error::custom(Error::new("com.example.sold_out", id));
            left.optional().map_err(failed)?.ok_or_else(sold_out)
        })
    }

    /// How many have been sold of each.
    fn report(&self, call: Invocation) -> Answer {
        let () = call.args()?;
        self.answer(|connection| {
            let sold = goods::table.inner_join(sales::table).group_by(goods::name);
            let sold = sold
                .order(goods::name)
                .select((goods::name, sum(sales::count)));
            sold.load::<(String, Option<i64>)>(connection)
                .map_err(failed)
        })
    }

    /// Answers with what a closure gives, which runs on a worker and is one transaction.
    fn answer<T: serde::Serialize + Send + 'static>(
        &self,
        run: impl FnOnce(&mut PgConnection) -> Result<T, adbapi::Error> + Send + 'static,
    ) -> Answer {
        Reply::later(self.db.run_interaction(run))
    }
}
