//! Owns values of every type, made at random from a seed, as literals of SQL.

use crate::sql::types::literals::quote;

/// Numbers that are the same for the same seed: Marsaglia's xorshift.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// A whole number, small or large.
    fn whole(&mut self, bits: u32) -> i64 {
        let wide = self.next().cast_signed() >> (64 - bits);
        match self.below(4) {
            0 => self.below(20).cast_signed() - 10,
            1 => [i64::MIN, i64::MAX, 0, -1][self.below(4) as usize] >> (64 - bits),
            _ => wide >> self.below(bits.into()),
        }
    }

    fn float(&mut self) -> f64 {
        match self.below(4) {
            0 => self.below(2000) as f64 / 8.0 - 100.0,
            1 => self.whole(53) as f64,
            2 => (self.next() as f64) * 10_f64.powi(self.below(60) as i32 - 50),
            _ => {
                let float = f64::from_bits(self.next());
                if float.is_normal() { float } else { -0.0 }
            }
        }
    }

    fn numeric(&mut self) -> String {
        let digits = |random: &mut Self, most: u64| -> String {
            let count = random.below(most);
            (0..count)
                .map(|_| random.pick(&["0", "1", "9", "0000", "1234"]))
                .collect()
        };
        let sign = self.pick(&["", "-"]);
        let (whole, decimals) = (digits(self, 9), digits(self, 9));
        format!("{sign}0{whole}.0{decimals}")
    }

    fn word(&mut self) -> String {
        let letters = [
            "a", "Z", " ", "\"", "\\", "'", ",", "{", "}", "(", ")", "[", "é", "日", "😀", "\n",
            "\t", "NULL", "\u{1}", ":", "0",
        ];
        (0..self.below(6)).map(|_| self.pick(&letters)).collect()
    }

    fn json(&mut self, depth: u64) -> String {
        let string = |random: &mut Self| serde_json::Value::from(random.word()).to_string();
        match self.below(if depth > 2 { 5 } else { 8 }) {
            0 => self.pick(&["true", "false", "\"\\u00e9\\/\""]).to_owned(),
            1 => self.float().to_string(),
            2 => self.numeric().replacen('0', "1", 1),
            3 | 4 => string(self),
            5 => {
                let values: Vec<_> = (0..self.below(4)).map(|_| self.json(depth + 1)).collect();
                format!("[ {} ]", values.join(" ,"))
            }
            _ => {
                let pair =
                    |random: &mut Self| format!("{}:  {}", string(random), random.json(depth + 1));
                let pairs: Vec<_> = (0..self.below(4)).map(|_| pair(self)).collect();
                format!("{{{}}}", pairs.join(" , "))
            }
        }
    }

    fn hex(&mut self, bytes: u64) -> String {
        (0..bytes)
            .map(|_| format!("{:02x}", self.next() & 255))
            .collect()
    }

    fn date(&mut self) -> String {
        let year = match self.below(4) {
            0 => self.below(5_000) + 1,
            1 => self.below(200_000) + 1,
            _ => self.below(200) + 1900,
        };
        let (month, day) = (self.below(12) + 1, self.below(28) + 1);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// What stands behind a date.
    fn era(&mut self) -> &'static str {
        self.pick(&["", "", "", " BC"])
    }

    fn clock(&mut self) -> String {
        let (hour, minute, second) = (self.below(24), self.below(60), self.below(60));
        let fraction = self.pick(&["", ".5", ".000001", ".123456", ".10"]);
        format!("{hour:02}:{minute:02}:{second:02}{fraction}")
    }

    fn zone(&mut self) -> &'static str {
        self.pick(&[
            "+00",
            "+05:30",
            "-08",
            "+14",
            "-00:30",
            "+01:02:03",
            "-11:59:59",
        ])
    }

    fn interval(&mut self) -> String {
        let (year, month, day) = (self.whole(8), self.whole(12), self.whole(16));
        let clock = format!("{}{}", self.pick(&["", "-", "12"]), self.clock());
        match self.below(4) {
            0 => format!("{month} mons {clock}"),
            1 => format!("{day} days {clock}"),
            2 => format!("{year} years {month} mons {day} days"),
            _ => format!("{year} years {month} mons {day} days {clock}"),
        }
    }

    fn points(&mut self) -> String {
        let points = 1 + self.below(4);
        let points: Vec<_> = (0..points).map(|_| self.literal("point")).collect();
        points.join(",")
    }

    fn ip(&mut self) -> (String, u64) {
        if self.below(2) == 0 {
            let [a, b, c, d] = [(); 4].map(|()| self.below(256));
            return (format!("{a}.{b}.{c}.{d}"), 32);
        }
        let groups: Vec<_> = (0..8)
            .map(|_| match self.below(3) {
                0 => format!("{:x}", self.below(65_536)),
                _ => "0".to_owned(),
            })
            .collect();
        let mapped = self.pick(&["::ffff:1.2.3.4", "::1.2.3.4", "::1", "::", "::2"]);
        let address = groups.join(":");
        (
            if self.below(3) == 0 {
                mapped.to_owned()
            } else {
                address
            },
            128,
        )
    }

    fn lexeme(&mut self) -> String {
        let word = self.pick(&["fat", "r'at", "b\\ack", "日本", "a b"]);
        format!("'{}'", word.replace('\\', "\\\\").replace('\'', "''"))
    }

    fn tsvector(&mut self) -> String {
        let words = (0..self.below(4)).map(|_| {
            let lexeme = self.lexeme();
            let place = self.pick(&["", ":1", ":3A,5", ":16383B,2C,1D"]);
            format!("{lexeme}{place}")
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn tsquery(&mut self, depth: u64) -> String {
        if depth > 3 || self.below(3) == 0 {
            let lexeme = self.lexeme();
            return format!("{lexeme}{}", self.pick(&["", "", ":*", ":AB", ":*CD"]));
        }
        let left = self.tsquery(depth + 1);
        match self.below(4) {
            0 => format!("!({left})"),
            _ => {
                let sign = self.pick(&["&", "|", "<->", "<3>", "<0>"]);
                format!("({left}) {sign} ({})", self.tsquery(depth + 1))
            }
        }
    }

    /// A value of a type that is not made of others, as its input function reads it.
    pub(super) fn literal(&mut self, r#type: &str) -> String {
        match r#type {
            "bool" => self.pick(&["true", "false"]).to_owned(),
            "int2" => self.whole(16).to_string(),
            "int4" => self.whole(32).to_string(),
            "int8" => self.whole(64).to_string(),
            "float4" => match self.below(6) {
                0 => self.pick(&["NaN", "Infinity", "-Infinity"]).to_owned(),
                _ => (self.float() as f32).clamp(-3e38, 3e38).to_string(),
            },
            "float8" => match self.below(6) {
                0 => self.pick(&["NaN", "Infinity", "-Infinity"]).to_owned(),
                _ => self.float().to_string(),
            },
            "numeric" => match self.below(8) {
                0 => self
                    .pick(&["NaN", "Infinity", "-Infinity", "1e200", "1e-200"])
                    .to_owned(),
                _ => self.numeric(),
            },
            "oid" | "xid" | "cid" => (self.next() >> 32).to_string(),
            "xid8" => (self.next() >> self.below(64)).to_string(),
            "text" | "varchar" | "bpchar" | "name" | "citext" => self.word(),
            "\"char\"" => self.pick(&["a", "Z", " ", "", "\"", "\\"]).to_owned(),
            "xml" => {
                let head = ["", "", "<?xml version=\"1.0\" standalone=\"yes\"?>"];
                let head = self.pick(&head);
                format!("{head}<a b=\"1\">{}</a>", self.below(9))
            }
            "jsonpath" => self
                .pick(&["$", "$.a[*] ? (@ > 1)", "strict $.\"b c\""])
                .to_owned(),
            "json" | "jsonb" => self.json(0),
            "bytea" => {
                let len = self.below(9);
                format!("\\x{}", self.hex(len))
            }
            "uuid" => self.hex(16),
            "bit(9)" => (0..9).map(|_| self.pick(&["0", "1"])).collect(),
            "varbit" => (0..self.below(30))
                .map(|_| self.pick(&["0", "1"]))
                .collect(),
            _ => self.time(r#type),
        }
    }

    fn time(&mut self, r#type: &str) -> String {
        let infinity = self.pick(&["infinity", "-infinity"]);
        match r#type {
            "date" | "timestamp" | "timestamptz" if self.below(8) == 0 => infinity.to_owned(),
            "time" => match self.below(9) {
                0 => "24:00:00".to_owned(),
                _ => self.clock(),
            },
            "timetz" => match self.below(9) {
                0 => format!("24:00:00{}", self.zone()),
                _ => format!("{}{}", self.clock(), self.zone()),
            },
            "date" | "timestamp" | "timestamptz" => {
                let date = self.date();
                let clock = if r#type == "date" {
                    String::new()
                } else {
                    self.clock()
                };
                // PostgreSQL's calendar begins in 4713 BC.
                let is_near = date.len() == 10 && date.as_str() < "4700";
                format!("{date} {clock}{}", if is_near { self.era() } else { "" })
            }
            "interval" => self.interval(),
            _ => self.other(r#type),
        }
    }

    fn other(&mut self, r#type: &str) -> String {
        match r#type {
            "inet" => match self.below(2) {
                0 => self.ip().0,
                _ => {
                    let (ip, bits) = self.ip();
                    format!("{ip}/{}", self.below(bits + 1))
                }
            },
            "cidr" => self
                .pick(&["10/8", "192.168.1.0/24", "::/0", "2001:db8::/32"])
                .to_owned(),
            "macaddr" => self.hex(6),
            "macaddr8" => self.hex(8),
            "point" => format!("({},{})", self.literal("float8"), self.float()),
            "lseg" => format!("[{},{}]", self.literal("point"), self.literal("point")),
            "box" => format!("{},{}", self.literal("point"), self.literal("point")),
            "line" => format!("{{{},1,{}}}", self.float(), self.float()),
            "path" => match self.below(2) {
                0 => format!("[{}]", self.points()),
                _ => format!("({})", self.points()),
            },
            "polygon" => format!("({})", self.points()),
            "circle" => format!("<{},{}>", self.literal("point"), self.float().abs()),
            "tsvector" => self.tsvector(),
            "tsquery" => self.tsquery(0),
            "pg_lsn" => format!("{:X}/{:X}", self.next() >> 40, self.next() >> 33),
            "pg_snapshot" | "txid_snapshot" => self.pick(&["1:1:", "10:20:10,14,15"]).to_owned(),
            "tid" => format!("({},{})", self.next() >> 32, self.below(65_536)),
            "int2vector" | "oidvector" => self.pick(&["", "1", "1 2 3"]).to_owned(),
            "mood" => self.pick(&["sad", "so, so", "very \"happy\""]).to_owned(),
            "price" => self.numeric().replace('-', ""),
            "hstore" => self
                .pick(&["", "a=>1", "\"b c\"=>NULL, d=>\"e\""])
                .to_owned(),
            "ltree" => self.pick(&["a.b.c", "top", ""]).to_owned(),
            _ => self.compound(r#type),
        }
    }

    /// Of values of other types.
    fn compound(&mut self, r#type: &str) -> String {
        let of = match r#type {
            "int4range" | "int4multirange" => "int4",
            "int8range" | "int8multirange" => "int8",
            "numrange" | "nummultirange" => "numeric",
            "tsrange" | "tsmultirange" => "timestamp",
            "tstzrange" | "tstzmultirange" => "timestamptz",
            "daterange" | "datemultirange" => "date",
            "floats" => "float8",
            "prices" => "price[]",
            "goods" => return self.row(&["int8", "text", "price", "timestamptz", "mood"]),
            "shelf" => return self.row(&["point", "goods[]", "goods", "bytea", "json"]),
            "tagged" => return self.row(&["int4", "hstore"]),
            array => {
                let Some(element) = array.strip_suffix("[]") else {
                    panic!("no values of type {array}")
                };
                return self.array(element);
            }
        };
        if r#type == "prices" {
            return self.literal(of);
        }
        if r#type.ends_with("multirange") {
            return self.pick(&["{}", "{empty}", "{(,)}"]).to_owned();
        }
        // Bounds in order are PostgreSQL's to find, so one of them is open.
        let mut bound = match of {
            "int4" | "int8" => self.whole(16).to_string(),
            "date" => self.date(),
            _ => self.literal(of),
        };
        quote(&mut bound, 0);
        match self.below(4) {
            0 => "empty".to_owned(),
            1 => format!("[{bound},{bound}]"),
            2 => format!("(,{bound}]"),
            _ => "(,)".to_owned(),
        }
    }

    fn part(&mut self, r#type: &str, null: &str) -> String {
        if self.below(5) == 0 {
            return null.to_owned();
        }
        let mut literal = self.literal(r#type);
        quote(&mut literal, 0);
        literal
    }

    fn row(&mut self, types: &[&str]) -> String {
        let fields: Vec<_> = types.iter().map(|r#type| self.part(r#type, "")).collect();
        format!("({})", fields.join(","))
    }

    fn array(&mut self, element: &str) -> String {
        // Of JSON nobody can tell an element that is a list from one more dimension.
        let dimensions = if element.starts_with("json") {
            1
        } else {
            1 + self.below(3)
        };
        let lengths: Vec<_> = (0..dimensions).map(|_| 1 + self.below(3)).collect();
        if self.below(8) == 0 {
            return "{}".to_owned();
        }
        let bounds: String = match self.below(3) {
            0 => (lengths.iter().map(|length| {
                let lower = self.below(9).cast_signed() - 4;
                format!("[{lower}:{}]", lower + length.cast_signed() - 1)
            }))
            .chain(["=".to_owned()])
            .collect(),
            _ => String::new(),
        };
        format!("{bounds}{}", self.dimension(element, &lengths))
    }

    fn dimension(&mut self, element: &str, lengths: &[u64]) -> String {
        let Some((length, inner)) = lengths.split_first() else {
            return self.part(element, "NULL");
        };
        let parts: Vec<_> = (0..*length)
            .map(|_| self.dimension(element, inner))
            .collect();
        format!(
            "{{{}}}",
            parts.join(if element == "box" { ";" } else { "," })
        )
    }
}
