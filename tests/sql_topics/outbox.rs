//! What SQL publishes, while all goes well.

use serde_json::{Value, json};

use super::{
    STOCK, Sql, config_of, event, firsts, install, publish, start, subscriber, with_outbox,
};
use crate::support::{
    backends::{Backend, on_each_backend},
    node::Node,
    postgres::Database,
    wait,
    websocket::Client,
};

on_each_backend![
    a_trigger_publishes_what_is_committed,
    transactions_that_overlap_are_neither_lost_nor_waited_for,
    topics_of_one_transaction_keep_their_order,
    a_large_event_arrives_whole,
    receivers_are_chosen_in_sql,
    two_nodes_publish_each_to_its_own_subscribers,
    many_writers_lose_nothing,
    events_are_kept_for_a_time,
];

fn a_trigger_publishes_what_is_committed(backend: Backend) {
    let (database, node) = with_outbox("outbox_trigger", backend);
    let mut client = subscriber(&node, STOCK);
    let mut sql = database.client();
    let trigger = "
        CREATE TABLE goods (id int PRIMARY KEY, name text, stock int);
        CREATE FUNCTION tell_stock() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM wampgres.publish('com.shop.stock', jsonb_build_array(TG_OP), to_jsonb(NEW));
            RETURN NULL;
        END
        $$;
        CREATE TRIGGER tell_stock AFTER INSERT OR UPDATE ON goods FOR EACH ROW EXECUTE FUNCTION tell_stock()";
    sql.batch_execute(trigger).expect("a trigger");
    for script in [
        "INSERT INTO goods VALUES (1, 'tea', 10)",
        "BEGIN; UPDATE goods SET stock = 0; ROLLBACK",
        "UPDATE goods SET stock = 9",
    ] {
        sql.batch_execute(script).expect("rows");
    }
    for (id, what, stock) in [(1, "INSERT", 10), (3, "UPDATE", 9)] {
        let kwargs = json!({"id": 1, "name": "tea", "stock": stock, "_event": id});
        assert_eq!(event(&mut client), (json!([what]), kwargs));
    }
}

fn transactions_that_overlap_are_neither_lost_nor_waited_for(backend: Backend) {
    let (database, node) = with_outbox("outbox_overlap", backend);
    let mut client = subscriber(&node, STOCK);
    let [mut early, mut late, mut quick, mut idle] = [(); 4].map(|()| database.client());
    let begin = |sql: &mut Sql| sql.batch_execute("BEGIN").expect("a transaction");
    let commit = |sql: &mut Sql| sql.batch_execute("COMMIT").expect("a commit");
    // It has the smallest number of all, and publishes nothing until the others have.
    begin(&mut idle);
    idle.execute("SELECT pg_current_xact_id()", &[])
        .expect("a number");
    begin(&mut early);
    begin(&mut late);
    publish(&mut late, 1);
    publish(&mut early, 2);
    publish(&mut late, 3);
    publish(&mut quick, 4);
    assert_eq!(
        firsts(&mut client, 1),
        [4],
        "nobody waits for those under way"
    );
    publish(&mut early, 5);
    commit(&mut early);
    assert_eq!(firsts(&mut client, 2), [2, 5]);
    publish(&mut quick, 6);
    assert_eq!(firsts(&mut client, 1), [6]);
    commit(&mut late);
    assert_eq!(firsts(&mut client, 2), [1, 3]);
    publish(&mut idle, 7);
    publish(&mut quick, 8);
    assert_eq!(firsts(&mut client, 1), [8]);
    commit(&mut idle);
    assert_eq!(firsts(&mut client, 1), [7]);
}

fn topics_of_one_transaction_keep_their_order(backend: Backend) {
    let (database, node) = with_outbox("outbox_topics", backend);
    let mut client = Client::join(node.address());
    for topic in ["com.a", "com.b", "com.c"] {
        client.subscribe(topic);
    }
    // More than are read at once.
    let many = "DO $$ BEGIN FOR n IN 1..2500 LOOP
                    PERFORM wampgres.publish('com.' || substr('abc', n % 3 + 1, 1), jsonb_build_array(n));
                END LOOP; END $$";
    database.client().batch_execute(many).expect("events");
    let expected: Vec<_> = (1..=2500).map(Value::from).collect();
    assert_eq!(firsts(&mut client, 2500), expected);
}

fn a_large_event_arrives_whole(backend: Backend) {
    let (database, node) = with_outbox("outbox_large", backend);
    let mut client = subscriber(&node, STOCK);
    let mut sql = database.client();
    let large =
        "SELECT wampgres.publish('com.shop.stock', jsonb_build_array(n, repeat('ä', 500000)))
                 FROM generate_series(1, 8) AS n";
    sql.query(large, &[]).expect("large events");
    publish(&mut sql, 9);
    for n in 1..=8 {
        let (args, kwargs) = event(&mut client);
        assert_eq!((&args[0], &kwargs), (&json!(n), &json!({"_event": n})));
        assert_eq!(
            args[1]
                .as_str()
                .map(|text| (text.len(), text.chars().all(|c| c == 'ä'))),
            Some((1_000_000, true))
        );
    }
    assert_eq!(firsts(&mut client, 1), [9]);
}

fn receivers_are_chosen_in_sql(backend: Backend) {
    let (database, node) = with_outbox("outbox_receivers", backend);
    let [mut one, mut other] = [(); 2].map(|()| subscriber(&node, STOCK));
    let mut sql = database.client();
    let mut send = |n: i32, options: Value| {
        let publish = "SELECT wampgres.publish('com.shop.stock', jsonb_build_array($1::int4), options => $2::text::jsonb)";
        sql.execute(publish, &[&n, &options.to_string()])
    };
    let only = json!([one.session()]);
    send(1, json!({"exclude": only})).expect("an event");
    send(2, json!({"eligible": only})).expect("an event");
    send(3, json!({"eligible_authrole": ["nobody"]})).expect("an event");
    send(
        4,
        json!({"exclude_authrole": ["nobody"], "disclose_me": true}),
    )
    .expect("an event");
    assert_eq!(firsts(&mut one, 2), [2, 4]);
    assert_eq!(firsts(&mut other, 2), [1, 4]);
    for (options, why) in [
        (json!({"exclud": []}), "unknown option \"exclud\""),
        (json!({"exclude": ["me"]}), "is an array of numbers"),
        (json!({"acknowledge": true}), "published after COMMIT"),
        (json!({"retain": true}), "unknown option \"retain\""),
    ] {
        let refused = send(5, options).expect_err("it is refused");
        let refused = refused.as_db_error().expect("by PostgreSQL");
        assert_eq!(refused.code().code(), "22023");
        assert!(refused.message().contains(why), "{refused}");
    }
    // Whoever calls what publishes can leave itself out.
    let own = format!(
        "BEGIN; SET LOCAL wamp.session = '{}'; \
        SELECT wampgres.publish('com.shop.stock', '[6]', options => '{{\"exclude_me\": true}}'); COMMIT",
        one.session()
    );
    sql.batch_execute(&own).expect("an event");
    publish(&mut sql, 7);
    assert_eq!(firsts(&mut one, 1), [7]);
    assert_eq!(firsts(&mut other, 2), [6, 7]);
}

fn two_nodes_publish_each_to_its_own_subscribers(backend: Backend) {
    let (database, first) = with_outbox("outbox_nodes", backend);
    let mut sql = database.client();
    publish(&mut sql, 1);
    let second = start(&database, &json!({"outbox": {"topics": ["com.shop"]}}));
    let mut clients: Vec<_> = [&first, &first, &second, &second]
        .map(|node| subscriber(node, STOCK))
        .into();
    let mut other = subscriber(&second, "com.other");
    sql.batch_execute("SELECT wampgres.publish('com.other')")
        .expect("an event");
    for n in 2..=200 {
        publish(&mut sql, n);
    }
    let expected: Vec<_> = (2..=200).map(Value::from).collect();
    for client in &mut clients {
        assert_eq!(firsts(client, 199), expected);
    }
    // What was published before the second node began, it does not publish; nor other topics.
    other.subscribe(STOCK);
    publish(&mut sql, 201);
    assert_eq!(firsts(&mut other, 1), [201]);
}

/// So quickly that nobody is woken for most of them.
fn many_writers_lose_nothing(backend: Backend) {
    let (database, node) = with_outbox("outbox_writers", backend);
    let mut client = subscriber(&node, STOCK);
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let mut sql = database.client();
            std::thread::spawn(move || {
                for n in 0..100 {
                    publish(&mut sql, writer * 100 + n);
                }
            })
        })
        .collect();
    let mut came = firsts(&mut client, 800);
    writers
        .into_iter()
        .for_each(|writer| writer.join().expect("it writes"));
    for writer in 0..8 {
        let own: Vec<_> = (came.iter().filter_map(Value::as_i64))
            .filter(|n| n / 100 == writer)
            .collect();
        assert!(own.is_sorted(), "each writer's own are in order");
    }
    came.sort_by_key(Value::as_i64);
    assert_eq!(came, (0..800).map(Value::from).collect::<Vec<_>>());
    let awake = "SELECT pg_sequence_last_value('wampgres.outbox_awake') IS NOT NULL";
    let mut sql = database.client();
    assert!(
        sql.query_one(awake, &[])
            .expect("a state")
            .get::<_, bool>(0)
    );
    // Afterwards everybody sleeps again, and is woken.
    wait::until("the publishers to wake the node again", || {
        let asleep = "SELECT pg_sequence_last_value('wampgres.outbox_awake') < extract(epoch FROM now()) * 1000";
        sql.query_one(asleep, &[])
            .expect("a state")
            .get::<_, bool>(0)
            .then_some(())
    });
    publish(&mut sql, 1000);
    assert_eq!(firsts(&mut client, 1), [1000]);
}

fn events_are_kept_for_a_time(backend: Backend) {
    let database = Database::create("outbox_kept", backend);
    install(&database);
    let mut sql = database.client();
    let count = |sql: &mut Sql| -> i64 {
        let count = "SELECT count(*) FROM wampgres.outbox";
        sql.query_one(count, &[]).expect("a count").get(0)
    };
    let many = "SELECT wampgres.publish('com.a', jsonb_build_array(repeat('x', 1000))) FROM generate_series(1, 3000)";
    sql.query(many, &[]).expect("events");
    // Several nodes delete together.
    let by_bytes = config_of(
        &database,
        &json!({"outbox": {"max_age": "2s", "max_bytes": 1_000_000}}),
    );
    let nodes = [Node::start(&by_bytes), Node::start(&by_bytes)];
    wait::until("old events to be deleted", || {
        (count(&mut sql) == 0).then_some(())
    });
    drop(nodes);
    sql.query(many, &[]).expect("events");
    let _node = Node::start(&config_of(
        &database,
        &json!({"outbox": {"max_age": "3s", "max_bytes": 500_000}}),
    ));
    wait::until("events to be deleted for their size", || {
        (count(&mut sql) < 600).then_some(())
    });
}
