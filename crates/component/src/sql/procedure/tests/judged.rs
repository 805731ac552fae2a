//! Where the parameters of random statements are, with PostgreSQL as the judge.

use super::*;

/// Values as SQL writes them, with what looks like parameters in them, and what they are.
const VALUES: &[(&str, &str)] = &[
    ("':a '';'", "\":a ';\""),
    ("E'\\' :b ;'", "\"' :b ;\""),
    ("U&':c\\0041'", "\":cA\""),
    ("e'x'\n':d\\';'", "\"x:d';\""),
    ("$$ :e ; ' $$", "\" :e ; ' \""),
    ("$t$ :f $$ \" $t$", "\" :f $$ \\\" \""),
    ("1 /* :g ; /* ' */ \" */", "1"),
    ("2 -- :h ; '\n", "2"),
    ("3 AS \":j ; \"\"\"", "3"),
    ("'4'::text", "\"4\""),
    ("(ARRAY[5,6,7])[1:2]", "[5,6]"),
    ("(ARRAY[5,6,7])[lo:hi]", "[5,6]"),
    ("(ARRAY[5,6,7])[ lo :hi]", "[5,6]"),
    ("(ARRAY[5,6])[:]", "[5,6]"),
    ("abs(-8::int)", "8"),
];

#[test]
fn postgresql_agrees_where_parameters_are() {
    for seed in 1..=60_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = |limit: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % limit as u64).unwrap()
        };
        let (mut texts, mut row, mut args) = (Vec::new(), Vec::new(), serde_json::Map::new());
        for _ in 0..=below(8) {
            if below(2) == 0 {
                let (text, value) = VALUES[below(VALUES.len())];
                texts.push(text.to_owned());
                row.push(serde_json::from_str(value).unwrap());
            } else {
                let name = ["p", "q_1", "Ü"][below(3)];
                let value = json!(name.len());
                texts.push(format!(":{name}::int"));
                args.insert(name.to_owned(), value.clone());
                row.push(value);
            }
        }
        let text = format!(
            "-- @returns arrays\nSELECT {} FROM (SELECT 1, 2) AS t (lo, hi)",
            texts.join(" , ")
        );
        let answer = call(&procedure(&text), json!([]), Value::Object(args));
        assert_eq!(answer, Ok(json!([row])), "seed {seed}: {text}");
    }
}
