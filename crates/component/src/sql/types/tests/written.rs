//! How rows are written: their shapes and options, from both formats, in JSON and CBOR, and what
//! becomes of bytes that are no value.

use serde_json::{Value, json};
use sql::{Column, Format, RawRows, Rows, types::Type};

use super::{
    super::{Columns, Forms, Int8Form, NumericForm},
    databases,
    generated::Random,
    json,
    judged::{TYPES, values},
    run,
};

/// Rows of one column, as a backend might have received them.
struct Received {
    r#type: Type,
    format: Format,
    values: Vec<Vec<u8>>,
}

impl RawRows for Received {
    fn columns(&self) -> usize {
        1
    }

    fn column(&self, _: usize) -> Column<'_> {
        Column {
            name: "v",
            r#type: &self.r#type,
            format: self.format,
        }
    }

    fn rows(&self) -> usize {
        self.values.len()
    }

    fn value(&self, row: usize, _: usize) -> Option<&[u8]> {
        Some(&self.values[row])
    }
}

fn received(r#type: &Type, format: Format, values: Vec<Vec<u8>>) -> Rows {
    let r#type = r#type.clone();
    let raw = Received {
        r#type,
        format,
        values,
    };
    Rows::new(raw, 0)
}

fn columns(rows: &Rows) -> Columns {
    Columns::new(rows.columns(), Forms::default())
}

/// Most types as they are, and their arrays.
fn with_arrays() -> impl Iterator<Item = String> {
    let types = TYPES
        .iter()
        .flat_map(|r#type| [(*r#type).to_owned(), format!("{type}[]")]);
    types.filter(|r#type| !["prices[]", "int2vector[]", "oidvector[]"].contains(&&**r#type))
}

#[test]
fn values_that_come_as_text_are_the_same() {
    for database in databases() {
        for (seed, r#type) in with_arrays().enumerate() {
            let values = values(&r#type, &mut Random::new(3 + 99 * seed as u64));
            let sql = format!("SELECT v, format('%s', v) FROM (VALUES {values}) AS q (v)");
            let rows = run(&*database, &sql, Vec::new());
            let of_text = rows.iter().map(|row| row.value(1).unwrap().to_vec());
            let column = rows.columns().next().unwrap().r#type;
            let as_text = received(column, Format::Text, of_text.collect());
            for (row, text) in rows.iter().zip(as_text.iter()) {
                let expected = json(columns(&rows).value(row, 0));
                assert_eq!(json(columns(&as_text).value(text, 0)), expected, "{type}");
            }
        }
    }
}

#[test]
fn bytes_that_are_no_value_are_an_error_and_no_panic() {
    for database in databases() {
        for (seed, r#type) in with_arrays().enumerate() {
            let random = &mut Random::new(5 + 77 * seed as u64);
            let values = values(&r#type, random);
            let sql = format!("SELECT v FROM (VALUES {values}) AS q (v)");
            let rows = run(&*database, &sql, Vec::new());
            let mut broken = Vec::new();
            for row in rows.iter().take(20) {
                let bytes = row.value(0).unwrap();
                broken.extend((0..bytes.len().min(200)).map(|len| bytes[..len].to_vec()));
                for _ in 0..100.min(bytes.len()) {
                    let mut bytes = bytes.to_vec();
                    let at = random.below(bytes.len() as u64) as usize;
                    bytes[at] = random.next() as u8;
                    broken.push(bytes);
                }
            }
            let column = rows.columns().next().unwrap().r#type;
            for format in [Format::Binary, Format::Text] {
                let broken = received(column, format, broken.clone());
                let columns = columns(&broken);
                for row in broken.iter() {
                    if let Ok(written) = serde_json::to_string(&columns.value(row, 0)) {
                        assert!(serde_json::from_str::<serde::de::IgnoredAny>(&written).is_ok());
                    }
                }
            }
        }
    }
}

#[test]
fn rows_are_objects_lists_or_values() {
    for database in databases() {
        let sql = "SELECT 1 AS id, NULL::text AS \"na\"\"me\", '{}'::int4[] AS none
               UNION ALL SELECT 2, 'x', '{NULL,3}'";
        let rows = run(&*database, sql, Vec::new());
        let columns = columns(&rows);
        let objects = r#"[{"id":1,"na\"me":null,"none":[]},{"id":2,"na\"me":"x","none":[null,3]}]"#;
        assert_eq!(json(columns.objects(&rows)), objects);
        assert_eq!(
            json(columns.arrays(&rows)),
            r#"[[1,null,[]],[2,"x",[null,3]]]"#
        );
        let row = rows.row(1).unwrap();
        assert_eq!(
            json(columns.object(row)),
            r#"{"id":2,"na\"me":"x","none":[null,3]}"#
        );
        assert_eq!(json(columns.array(row)), r#"[2,"x",[null,3]]"#);
        assert_eq!(json(columns.value(row, 1)), "\"x\"");
        assert_eq!(columns.duplicate(), None);
        // Straight into a payload.
        let payload = wamp::Payload::from_args(&(columns.arrays(&rows),)).unwrap();
        let (read,): (Value,) = payload.args().unwrap();
        assert_eq!(read, json!([[1, null, []], [2, "x", [null, 3]]]));
        let none = run(
            &*database,
            "SELECT 1 AS a, 2 AS b, 3 AS a WHERE false",
            Vec::new(),
        );
        let columns = Columns::new(none.columns(), Forms::default());
        assert_eq!(columns.duplicate(), Some("a"));
        assert_eq!(json(columns.objects(&none)), "[]");
    }
}

#[test]
fn options_say_how_numbers_are_written() {
    for database in databases() {
        let sql = "SELECT 9007199254740992, -9007199254740993, 1::int8, 12.50, 'NaN'::numeric,
                      ARRAY[9007199254740993]";
        let rows = run(&*database, sql, Vec::new());
        let written = |int8, numeric| {
            let columns = Columns::new(rows.columns(), Forms { int8, numeric });
            json(columns.array(rows.row(0).unwrap()))
        };
        assert_eq!(
            written(Int8Form::Safe, NumericForm::String),
            r#"[9007199254740992,"-9007199254740993",1,"12.50","NaN",["9007199254740993"]]"#
        );
        assert_eq!(
            written(Int8Form::Number, NumericForm::Number),
            r#"[9007199254740992,-9007199254740993,1,12.50,"NaN",[9007199254740993]]"#
        );
        assert_eq!(
            written(Int8Form::String, NumericForm::String),
            r#"["9007199254740992","-9007199254740993","1","12.50","NaN",["9007199254740993"]]"#
        );
        for name in Int8Form::NAMES {
            assert!(Int8Form::from_name(name).is_some());
        }
        for name in NumericForm::NAMES {
            assert!(NumericForm::from_name(name).is_some());
        }
    }
}

#[test]
fn binary_serializers_have_whole_numbers_and_bytes() {
    for database in databases() {
        let sql = "SELECT 9007199254740993 AS n, '\\x0102'::bytea AS b, '{\"b\":[1.5],\"a\":null}'::json AS j,
                      2.5 AS d, '2026-11-28 18:00+00'::timestamptz AS t, '{1,NULL}'::int2[] AS l";
        let rows = run(&*database, sql, Vec::new());
        let mut cbor = Vec::new();
        ciborium::into_writer(&columns(&rows).objects(&rows), &mut cbor).unwrap();
        let read: ciborium::Value = ciborium::from_reader(&*cbor).unwrap();
        let row = read.as_array().unwrap()[0].as_map().unwrap();
        let of = |name: &str| {
            let pair = row.iter().find(|(key, _)| key.as_text() == Some(name));
            &pair.unwrap().1
        };
        assert_eq!(of("n"), &ciborium::Value::from(9_007_199_254_740_993_u64));
        assert_eq!(of("b"), &ciborium::Value::Bytes(vec![1, 2]));
        assert_eq!(of("d").as_text(), Some("2.5"));
        assert_eq!(of("t").as_text(), Some("2026-11-28T18:00:00+00:00"));
        let json: Value = of("j").deserialized().unwrap();
        assert_eq!(json, json!({"a": null, "b": [1.5]}));
        let list: Value = of("l").deserialized().unwrap();
        assert_eq!(list, json!([1, null]));
        let numbers = Forms {
            numeric: NumericForm::Number,
            ..Forms::default()
        };
        let mut cbor = Vec::new();
        let columns = Columns::new(rows.columns(), numbers);
        ciborium::into_writer(&columns.value(rows.row(0).unwrap(), 3), &mut cbor).unwrap();
        assert_eq!(ciborium::from_reader::<f64, _>(&*cbor).unwrap(), 2.5);
    }
}

#[test]
fn nameless_rows_name_their_fields_as_to_json_does() {
    for database in databases() {
        let sql = "SELECT ROW(1, 'a', NULL, ROW(2.5, '{t}'::bool[])) AS v,
                      to_json(ROW(1, 'a', NULL, ROW(2.5, '{t}'::bool[])))::text";
        let rows = run(&*database, sql, Vec::new());
        let row = rows.row(0).unwrap();
        let judge: &str = row.get(1).unwrap();
        let expected = judge.replace("2.5", "\"2.5\"");
        assert_eq!(json(columns(&rows).value(row, 0)), expected);
    }
}

#[test]
fn void_is_what_to_json_makes_of_it() {
    for database in databases() {
        let sql = "SELECT pg_notify('a', 'b') AS v, to_json(pg_notify('a', 'b'))::text";
        let rows = run(&*database, sql, Vec::new());
        let row = rows.row(0).unwrap();
        assert_eq!(
            json(columns(&rows).value(row, 0)),
            row.get::<&str>(1).unwrap()
        );
    }
}

/// Ten rows of six columns, most of them texts or printed.
#[test]
fn no_value_needs_an_allocation() {
    for database in databases() {
        let sql = |rows: u32| {
            format!(
            "SELECT n, n::int8 * 1000000 AS i, 'goods no. ' || n AS name, n::numeric / 7 AS price,
                    '2026-11-28 18:00+00'::timestamptz + n * '1 min'::interval AS made,
                    ARRAY[n, NULL] AS list
             FROM generate_series(1, {rows}) AS n"
        )
        };
        let allocations = |count: u32| {
            let rows = run(&*database, &sql(count), Vec::new());
            let columns = columns(&rows);
            let mut buffer = Vec::with_capacity(1 << 20);
            let info = allocation_counter::measure(|| {
                serde_json::to_writer(&mut buffer, &columns.objects(&rows)).unwrap();
            });
            assert!(buffer.len() > 100 * count as usize);
            info.count_total
        };
        // What there is is the scratch, which grows a few times.
        let of_ten = allocations(10);
        assert!(of_ten <= 3, "{of_ten}");
        assert_eq!(allocations(1000), of_ten);
    }
}
