//! What becomes of texts of SQL: by tables, and by random ones put together of pieces of which it is
//! known what they hold.

use super::{Fault, Source, Statement, lexer::tokens};

fn read(text: &str) -> Source {
    Source::read("a.sql", text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}

fn faults(text: &str) -> Vec<String> {
    let faults = Source::read("a.sql", text).expect_err(text);
    faults.iter().map(Fault::to_string).collect()
}

fn names(source: &Source) -> Vec<&str> {
    source.parameters.iter().map(|p| &*p.name).collect()
}

/// Each statement as PostgreSQL gets it.
fn sent(source: &Source) -> Vec<String> {
    let sql = |statement: &Statement| source.assemble(statement, |_| None).sql;
    source.statements.iter().map(sql).collect()
}

#[test]
fn parameters_are_found_where_sql_has_values() {
    for (text, sql, parameters) in [
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1", "a b"),
        (
            "SELECT :a::int, ':b', \":c\", E'\\':d'",
            "SELECT $1::int, ':b', \":c\", E'\\':d'",
            "a",
        ),
        (
            "SELECT $x$ :a $x$ /* :b /* :c */ */ -- :d\n, :e",
            "SELECT $x$ :a $x$ /* :b /* :c */ */ -- :d\n, $1",
            "e",
        ),
        ("SELECT f(a := :b)", "SELECT f(a := $1)", "b"),
        (
            "SELECT a[1:n], a[lo :hi], a[f(1) :n], a[:i], a[1: :n]",
            "SELECT a[1:n], a[lo :hi], a[f(1) :n], a[$1], a[1: $2]",
            "i n",
        ),
        (
            "SELECT ARRAY[:a, :b], ARRAY[[1,:c]]",
            "SELECT ARRAY[$1, $2], ARRAY[[1,$3]]",
            "a b c",
        ),
        (
            "SELECT a[CASE WHEN :x THEN 1 END]",
            "SELECT a[CASE WHEN $1 THEN 1 END]",
            "x",
        ),
        ("SELECT a[(:i)][2:(:n)]", "SELECT a[($1)][2:($2)]", "i n"),
        (
            "SELECT JSON_OBJECT('key':value)",
            "SELECT JSON_OBJECT('key':value)",
            "",
        ),
        ("SELECT x=:x,y>-:y", "SELECT x=$1,y>-$2", "x y"),
        ("SELECT x LIMIT:n", "SELECT x LIMIT$1", "n"),
        ("SELECT $2, $1, $2", "SELECT $1, $2, $1", "$2 $1"),
        ("SELECT :Größe", "SELECT $1", "Größe"),
    ] {
        let source = read(text);
        assert_eq!(sent(&source), [sql]);
        assert_eq!(names(&source).join(" "), parameters, "{text}");
    }
}

#[test]
fn defaults_stand_where_no_comparison_can_be() {
    for (text, sql, default) in [
        ("SELECT 1 LIMIT :n = 20", "SELECT 1 LIMIT $1", Some("20")),
        (
            "SELECT 1 LIMIT 5 OFFSET :n=0",
            "SELECT 1 LIMIT 5 OFFSET $1",
            Some("0"),
        ),
        ("SELECT :n := 'it''s', 1", "SELECT $1, 1", Some("\"it's\"")),
        ("SELECT (:n := -1.5)::int", "SELECT ($1)::int", Some("-1.5")),
        ("SELECT :n := NULL::int", "SELECT $1::int", Some("null")),
        ("SELECT :n = 20", "SELECT $1 = 20", None),
        (
            "SELECT 1 WHERE :n = 'all' OR :n = x",
            "SELECT 1 WHERE $1 = 'all' OR $1 = x",
            None,
        ),
    ] {
        let source = read(text);
        assert_eq!(sent(&source), [sql]);
        assert_eq!(source.parameters[0].default.as_deref(), default, "{text}");
    }
    for (text, why) in [
        (
            "SELECT :n := now()",
            "a.sql:1:8: its default is to be a number, a string",
        ),
        (
            "SELECT :n := 1, :n := 2",
            "a.sql:1:17: the default of `n` is 1 before and 2 here",
        ),
        (
            "SELECT :n, $1",
            "a.sql:1:12: `:name` and `$1` do not go together",
        ),
        (
            "SELECT $1, $3",
            "a.sql:1:12: there are 2 parameters, and this is number 3",
        ),
        (
            "SELECT $0",
            "a.sql:1:8: there are 1 parameters, and this is number 0",
        ),
        (
            "SELECT 'a",
            "a.sql:1:8: a string, a quoted name or a comment begins here",
        ),
        ("-- nothing", "a.sql: there is no statement in it"),
    ] {
        let faults = faults(text);
        assert!(faults[0].starts_with(why), "{text}: {faults:?}");
    }
}

#[test]
fn comments_before_statements_are_descriptions_and_options() {
    let source = read(
        "-- The goods below a price,\n-- cheapest first.\n-- @timeout 2s\n-- @read_only\n-- more\n\n\
         -- @returns row\nSELECT 1; -- @result two\nSELECT 2;; ;\n",
    );
    assert_eq!(
        source.description,
        "The goods below a price,\ncheapest first."
    );
    let told = |options: &[super::Written]| -> Vec<String> {
        let told = options
            .iter()
            .map(|o| format!("{} {}={}", o.place, o.key, o.value));
        told.collect()
    };
    let file = ["a.sql:3:4 timeout=2s", "a.sql:4:4 read_only="];
    assert_eq!(told(&source.options), file);
    assert_eq!(
        told(&source.statements[0].options),
        ["a.sql:7:4 returns=row"]
    );
    assert_eq!(
        told(&source.statements[1].options),
        ["a.sql:8:14 result=two"]
    );
    assert_eq!(sent(&source), ["SELECT 1", "SELECT 2"]);
    let late = faults("SELECT 1;\n-- @timeout 2s\nSELECT 2");
    assert_eq!(
        late,
        ["a.sql:2:4: `@timeout` belongs before the first statement"]
    );
    assert_eq!(read("-- One.\n\n-- Two.\nSELECT 1").description, "One.");
    assert_eq!(read("/* no */ SELECT 1 -- no").description, "");
}

#[test]
fn statements_end_where_psql_ends_them() {
    for (text, statements) in [
        ("SELECT ';'; SELECT $$;$$ ; /* ; */ SELECT 3 -- ;", 3),
        (
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
            2,
        ),
        (
            "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 \
             END; SELECT 2; END; SELECT 3",
            2,
        ),
        ("CREATE TABLE begin_it (x int); SELECT 1", 2),
    ] {
        assert_eq!(read(text).statements.len(), statements, "{text}");
    }
}

#[test]
fn each_statement_has_the_parameters_that_it_uses_once() {
    let source = read("INSERT INTO t VALUES (:a, :b); SELECT :b, :c, :b");
    assert_eq!(
        sent(&source),
        ["INSERT INTO t VALUES ($1, $2)", "SELECT $1, $2, $1"]
    );
    let last = source.assemble(&source.statements[1], |index| {
        (index == 2).then_some("int[]")
    });
    assert_eq!(last.sql, "SELECT $1, ($2::int[]), $1");
    assert_eq!(last.uses, [1, 2]);
}

#[test]
fn positions_lead_back_to_the_source() {
    let source = read("-- Über\nSELECT 'ä', :price,\n  wrong");
    let statement = &source.statements[0];
    let assembled = source.assemble(statement, |_| None);
    let place = |what: &str| {
        let before = &assembled.sql[..assembled.sql.find(what).unwrap()];
        let position = u32::try_from(before.chars().count() + 1).unwrap();
        source
            .locate(statement, &assembled, Some(position))
            .to_string()
    };
    assert_eq!(place("'ä'"), "a.sql:2:8");
    assert_eq!(place("$1"), "a.sql:2:13");
    assert_eq!(place("wrong"), "a.sql:3:3");
    let none = source.locate(statement, &assembled, None);
    assert_eq!(none.to_string(), "a.sql:2:1");
}

/// The same numbers for the same seed: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("it is below the limit")
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// Pieces that no parameter is in, whatever stands around them.
const OPAQUE: &[&str] = &[
    "':a '';'",
    "E'\\' :b ;'",
    "U&':c\\'",
    "e'x'\n':d\\';'",
    "$$ :e ; ' $$",
    "$t$ :f $$ \" $t$",
    "/* :g ; /* ' */ \" */",
    "-- :h ; '\n",
    "\":i ; \"\"\"",
    "u&\":j ;\"",
    "B'01'",
    "x::int",
    "f(a := 1)",
    "a[1:2]",
    "a[lo:hi]",
    "a[ 1 :k]",
    "a[:]",
    "1.5e3",
    "€",
    "\u{a0}",
    "a.b",
    "x$y$z",
    "{",
    "?",
    "@>",
    "JSON_OBJECT('a':b)",
];

#[test]
fn random_texts_keep_all_but_their_parameters() {
    for seed in 1..=2000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (mut text, mut sql, mut names) = (
            String::from("SELECT 1"),
            String::from("SELECT 1"),
            Vec::new(),
        );
        for _ in 0..random.below(12) {
            let blank = random.of(&[" ", "\n", "\t", "/**/", " --\r"]);
            // A comment to the end of a line ends with it.
            let joint = format!("{blank}{}", random.of(&[", ", "( ", " + ", " = "]));
            text.push_str(&joint);
            sql.push_str(&joint);
            if random.below(2) == 0 {
                let piece = random.of(OPAQUE);
                text.push_str(piece);
                sql.push_str(piece);
            } else {
                let name = random.of(&["a", "b_1", "Ü"]);
                if !names.contains(&name) {
                    names.push(name);
                }
                let number = names.iter().position(|n| *n == name).unwrap() + 1;
                text.push_str(&format!(":{name}"));
                sql.push_str(&format!("${number}"));
            }
        }
        text.push_str("\n + 1");
        sql.push_str("\n + 1");
        let source = read(&text);
        assert_eq!(sent(&source), [sql], "seed {seed}: {text:?}");
        assert_eq!(self::names(&source), names, "seed {seed}: {text:?}");
    }
}

#[test]
fn any_text_is_taken_apart_without_loss() {
    const BITS: &[&str] = &[
        "'", "\"", "$", "$$", "$a$", ":", "::", ":=", "\\", "-", "--", "/", "*", "/*", "*/", "\n",
        "E", "U&", "ä", "a", "1", "[", "]", "(", ")", ";", "=", " ", "\0", "limit", "array",
    ];
    for seed in 1..=5000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text: String = (0..random.below(20)).map(|_| random.of(BITS)).collect();
        let cut: String = tokens(&text).iter().map(|token| token.text).collect();
        assert_eq!(cut, text, "seed {seed}");
        if let Ok(source) = Source::read("a.sql", &text) {
            for statement in &source.statements {
                let assembled = source.assemble(statement, |_| None);
                for position in 0..=assembled.sql.chars().count() + 1 {
                    let position = u32::try_from(position).unwrap();
                    source.locate(statement, &assembled, Some(position));
                }
            }
        }
    }
}
