//! A component class that calls, publishes and subscribes, in this process or on another router.
//! Owns the class; all else is the library's.
//!
//! ```sh
//! cargo run --example calling_component -- --config examples/calling_component.json
//! ```
//!
//! Now any WAMP client can call `com.example.order` in the realm `realm1`: `order("tea", 2)` is 8,
//! and an event on `com.example.ordered` tells of it. An event on `com.example.price_changed` with
//! the arguments `("tea", 5)` changes what the next order costs.

use std::{
    collections::HashMap,
    process::ExitCode,
    sync::{Mutex, MutexGuard, PoisonError},
};

use wampgres::{
    cli,
    component::{
        Answer, Classes, Component, Error, Event, Invocation, Procedure, Reply, SessionHandle,
        Setup, Subscription,
    },
};

struct Shop {
    session: SessionHandle,
    prices: Mutex<HashMap<String, i64>>,
}

impl Component for Shop {
    fn on_join(setup: Setup) -> Result<Self, Error> {
        Ok(Self {
            session: setup.session,
            prices: Mutex::new(HashMap::from([("tea".to_owned(), 4)])),
        })
    }

    fn procedures(&self) -> Vec<Procedure<Self>> {
        vec![
            Procedure::new("com.example.price", Self::price),
            Procedure::new("com.example.order", Self::order),
        ]
    }

    /// They hold on each connection: when one to another router was lost and is back, they are
    /// subscribed to again.
    fn subscriptions(&self) -> Vec<Subscription<Self>> {
        vec![Subscription::new(
            "com.example.price_changed",
            Self::on_price_changed,
        )]
    }

    /// On each connection as well.
    fn on_ready(&self) {
        // There is a session, so all that could fail is the room for one event.
        let _ = self.session.publish("com.example.opened", ());
    }
}

impl Shop {
    fn price(&self, call: Invocation) -> Answer {
        let (item,): (String,) = call.args()?;
        match self.prices().get(&item) {
            Some(price) => Reply::now(price),
            None => Err(Error::new("com.example.no_such_item", item)),
        }
    }

    /// Calls another procedure, which happens to be one of its own, and answers when that has. If
    /// it fails, this call fails with the same error; if the caller cancels this call, that one is
    /// canceled as well.
    fn order(&self, call: Invocation) -> Answer {
        let (item, count): (String, i64) = call.args()?;
        let price = self.session.call("com.example.price", (&item,));
        let session = self.session.clone();
        Reply::later(price.and_then(move |price| {
            let total = count * price.value::<i64>()?;
            session.publish("com.example.ordered", (item, count, total))?;
            Ok(total)
        }))
    }

    fn on_price_changed(&self, event: Event) -> Result<(), Error> {
        let (item, price): (String, i64) = event.args()?;
        self.prices().insert(item, price);
        Ok(())
    }

    fn prices(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.prices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn main() -> ExitCode {
    cli::run(&Classes::default().with::<Shop>("shop.Shop"))
}
