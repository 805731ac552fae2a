//! How the pool of a database is made by its backend, and what the classes that use it want done to
//! each new connection. Must not know when that is.

use std::{collections::BTreeSet, panic::catch_unwind, sync::Arc};

use super::super::settings;
use crate::config::{self, Backend};
use component::{Classes, OnConnect, Pool};
use reactor::Mailbox;
use sql::{Error, ErrorKind, Sql};
use wamp_transport::Mail;

/// The I/O threads of the node, as the backends need to know of them.
#[cfg_attr(
    not(all(feature = "adbapi", feature = "txpostgres")),
    expect(dead_code, reason = "each backend needs one of them")
)]
pub(in crate::node) struct IoThreads {
    /// Whether threads sleep whenever they wait.
    pub(in crate::node) wait_asleep: bool,
    pub(in crate::node) mailboxes: Arc<[Mailbox<Mail>]>,
}

/// A pool that is to be made, and who uses it.
pub(super) struct NewPool<'a> {
    pub(super) database: &'a config::Database,
    pub(super) classes: &'a Classes,
    pub(super) classnames: BTreeSet<&'a str>,
    pub(super) threads: &'a IoThreads,
}

impl NewPool<'_> {
    /// Makes it. Nothing connects.
    pub(super) fn make(self) -> Result<Pool, Error> {
        match self.database.backend {
            #[cfg(feature = "adbapi")]
            Backend::Adbapi => self.by_adbapi(),
            #[cfg(feature = "txpostgres")]
            Backend::Txpostgres => self.by_txpostgres(),
            #[cfg(not(all(feature = "adbapi", feature = "txpostgres")))]
            missing => unreachable!("{missing} is in no checked configuration"),
        }
    }

    #[cfg(feature = "adbapi")]
    fn by_adbapi(self) -> Result<Pool, Error> {
        let open_funs = self.of_classes(Classes::cp_openfun);
        let mut builder = settings::adbapi(self.database).wait_awake(!self.threads.wait_asleep);
        if !open_funs.is_empty() {
            builder =
                builder.cp_openfun(move |conn| open_funs.iter().try_for_each(|fun| fun(conn)));
        }
        if let Some(on_connect) = self.on_connect() {
            builder = builder.on_connect(on_connect);
        }
        Ok(Pool::Adbapi(builder.build()?))
    }

    #[cfg(feature = "txpostgres")]
    fn by_txpostgres(self) -> Result<Pool, Error> {
        #[cfg(feature = "adbapi")]
        if !self.of_classes(Classes::cp_openfun).is_empty() {
            return Err(Error::config(
                "a class that uses it sets up connections by CP_OPENFUN, which only adbapi has: write \
                 \"backend\": \"adbapi\", or let the class do it by ON_CONNECT",
            ));
        }
        let mut builder = settings::txpostgres(self.database);
        if let Some(on_connect) = self.on_connect() {
            builder = builder.on_connect(move |opened| on_connect(opened.process_id));
        }
        let mailboxes = self.threads.mailboxes.clone();
        let pool = builder.build(txpostgres::Reactors::new(mailboxes, || Mail::Look))?;
        Ok(Pool::Txpostgres(pool))
    }

    /// What the classes want done to each new connection, if that is anything.
    fn on_connect(&self) -> Option<impl Fn(i32) -> Result<Vec<Sql>, Error> + use<>> {
        let all = self.of_classes(Classes::on_connect);
        let is_any = !all.is_empty();
        let one_after_the_other = move |backend_pid| {
            let statements = all.iter().map(|on_connect| call(*on_connect, backend_pid));
            Ok(statements.collect::<Result<Vec<_>, _>>()?.concat())
        };
        is_any.then_some(one_after_the_other)
    }

    fn of_classes<T>(&self, wanted: impl Fn(&Classes, &str) -> Option<T>) -> Vec<T> {
        let names = self.classnames.iter();
        names
            .filter_map(|name| wanted(self.classes, name))
            .collect()
    }
}

/// A panic must not take the thread of the connection with it.
fn call(on_connect: OnConnect, backend_pid: i32) -> Result<Vec<Sql>, Error> {
    let panicked = |_| Err(Error::new(ErrorKind::Panicked, "it has panicked"));
    catch_unwind(|| on_connect(backend_pid)).unwrap_or_else(panicked)
}

#[cfg(all(test, feature = "adbapi", feature = "txpostgres"))]
mod tests {
    use std::path::Path;

    use super::*;
    use component::{Component, OpenFun, Procedure, Setup};

    struct Greeting;

    impl Component for Greeting {
        const ON_CONNECT: Option<OnConnect> =
            Some(|_| Ok(vec!["SET app.greeting = 'hello'".into()]));

        fn on_join(_: Setup) -> Result<Self, component::Error> {
            Ok(Self)
        }

        fn procedures(&self) -> Vec<Procedure<Self>> {
            Vec::new()
        }
    }

    struct Setting;

    impl Component for Setting {
        const CP_OPENFUN: Option<OpenFun> = Some(|_| Ok(()));
        const ON_CONNECT: Option<OnConnect> = Some(|_| panic!("not today"));

        fn on_join(_: Setup) -> Result<Self, component::Error> {
            Ok(Self)
        }

        fn procedures(&self) -> Vec<Procedure<Self>> {
            Vec::new()
        }
    }

    /// What becomes of a pool of this backend that these classes use.
    fn with_pool<T>(
        backend: Backend,
        classnames: &[&str],
        then: impl FnOnce(NewPool<'_>) -> T,
    ) -> T {
        let text = format!(
            r#"{{"version": 2, "workers": [{{"type": "container", "components": [{{
                "type": "class", "classname": "test.Greeting", "realm": "realm1",
                "transport": {{"type": "websocket", "url": "ws://router.example/"}},
                "extra": {{"database": {{"backend": "{backend}", "host": "127.0.0.1"}}}}
            }}]}}]}}"#
        );
        let options = config::Options {
            classes: &["test.Greeting"],
            database_classes: &[],
            environment: &|_| None,
        };
        let node = config::check_text(&text, Path::new("/"), &options).expect("no faults");
        let classes = Classes::default();
        let classes = classes
            .with::<Greeting>("test.Greeting")
            .with::<Setting>("test.Setting");
        let reactor = reactor::Reactor::new().expect("a reactor");
        then(NewPool {
            database: &node.databases[0],
            classes: &classes,
            classnames: classnames.iter().copied().collect(),
            threads: &IoThreads {
                wait_asleep: false,
                mailboxes: [reactor.mailbox()].into(),
            },
        })
    }

    #[test]
    fn a_component_for_one_backend_says_so_on_the_other() {
        let make = |backend| {
            let pool = with_pool(backend, &["test.Greeting"], |pool| pool.make());
            pool.map_err(|error| error.to_string()).unwrap()
        };
        for (other, needed) in [
            (make(Backend::Txpostgres).adbapi().map(drop), "adbapi"),
            (make(Backend::Adbapi).txpostgres().map(drop), "txpostgres"),
        ] {
            let error = other.unwrap_err();
            let write = format!("\"backend\": \"{needed}\"");
            assert!(error.message().contains(&write), "{error}");
        }
        assert!(make(Backend::Adbapi).adbapi().is_ok());
        assert!(make(Backend::Txpostgres).txpostgres().is_ok());
    }

    #[test]
    fn a_class_with_cp_openfun_has_its_database_by_adbapi_only() {
        let make = |backend| with_pool(backend, &["test.Setting"], |pool| pool.make());
        assert!(make(Backend::Adbapi).is_ok());
        let error = make(Backend::Txpostgres).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("ON_CONNECT"), "{error}");
    }

    #[test]
    fn on_connect_of_all_classes_is_called_and_a_panic_is_an_error() {
        let sql = |classnames: &[&str]| {
            with_pool(Backend::Adbapi, classnames, |pool| {
                let statements = pool.on_connect()?(7);
                Some(
                    statements.map(|all| all.iter().map(|sql| sql.to_string()).collect::<Vec<_>>()),
                )
            })
        };
        assert_eq!(sql(&["hello.Nobody"]), None);
        let greeting = sql(&["test.Greeting", "hello.MyDatabaseComponent"]);
        assert_eq!(
            greeting,
            Some(Ok(vec!["SET app.greeting = 'hello'".to_owned()]))
        );
        let panicked = sql(&["test.Greeting", "test.Setting"])
            .unwrap()
            .unwrap_err();
        assert_eq!(panicked.kind(), ErrorKind::Panicked);
    }
}
