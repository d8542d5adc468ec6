//! Documents for tests and measurements: a small JSON tree that writes itself as `jsonb_out` does,
//! and xAPI statements made of it, the same for the same seed.

#![allow(dead_code, reason = "tests, benches and the server checker each use a part")]

use std::fmt::Write as _;

/// A JSON value; numbers keep their spelling.
#[derive(Clone, Debug)]
pub enum Sample {
    /// A number, `true`, `false` or `null`, as it will be written.
    Raw(String),
    Text(String),
    Array(Vec<Sample>),
    /// Pairs in any order, later ones winning, as jsonb has it.
    Object(Vec<(String, Sample)>),
}

impl Sample {
    pub fn object<const N: usize>(pairs: [(&str, Sample); N]) -> Self {
        Self::Object(pairs.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// The text as `jsonb_out` writes it: keys by length, then bytes.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Raw(raw) => out.push_str(raw),
            Self::Text(text) => write_string(text, out),
            Self::Array(elements) => {
                out.push('[');
                for (i, element) in elements.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    element.write(out);
                }
                out.push(']');
            }
            Self::Object(pairs) => {
                let mut sorted: Vec<&(String, Sample)> = Vec::new();
                for (i, pair) in pairs.iter().enumerate() {
                    if !pairs[i + 1..].iter().any(|later| later.0 == pair.0) {
                        sorted.push(pair);
                    }
                }
                sorted.sort_by_key(|pair| (pair.0.len(), pair.0.as_bytes()));
                out.push('{');
                for (i, (key, value)) in sorted.into_iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    write_string(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => write!(out, "\\u{:04x}", control as u32).unwrap(),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// A small generator of random numbers (splitmix64), so that a seed gives the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(b"0123456789abcdef"[self.below(16)])).collect()
    }

    fn uuid(&mut self) -> String {
        format!(
            "{}-{}-4{}-a{}-{}",
            self.hex(8),
            self.hex(4),
            self.hex(3),
            self.hex(3),
            self.hex(12)
        )
    }
}

/// What a statement is full of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// About 2.2 KB, mostly ASCII.
    Plain,
    /// The same with Korean names and descriptions.
    Korean,
    /// The same with strings full of escapes.
    Escapes,
    /// The same with long fractions.
    Numbers,
    /// About 600 bytes.
    Short,
}

pub const FLAVORS: [Flavor; 5] =
    [Flavor::Plain, Flavor::Korean, Flavor::Escapes, Flavor::Numbers, Flavor::Short];

const WORDS: [&str; 24] = [
    "unit",
    "lesson",
    "quiz",
    "fraction",
    "decimal",
    "geometry",
    "reading",
    "chapter",
    "answer",
    "question",
    "student",
    "teacher",
    "textbook",
    "curriculum",
    "assessment",
    "practice",
    "video",
    "exercise",
    "listening",
    "vocabulary",
    "triangle",
    "equation",
    "graph",
    "review",
];
const KOREAN: [&str; 16] = [
    "학습",
    "단원",
    "문제",
    "수학",
    "영어",
    "평가",
    "진단",
    "학생",
    "교과서",
    "분수의 덧셈",
    "풀이",
    "정답",
    "선생님",
    "삼각형의 넓이",
    "듣기",
    "초등학교",
];
const ESCAPED: [&str; 8] = [
    "\"quoted\"",
    "back\\slash",
    "line\nbreak",
    "tab\there",
    "C:\\temp\\x",
    "\u{1}",
    "<p>\"a\"</p>",
    "\r\n",
];

fn words(random: &mut Random, flavor: Flavor, count: usize) -> String {
    let mut out = Vec::new();
    for _ in 0..count {
        out.push(match flavor {
            Flavor::Korean => random.pick(&KOREAN),
            Flavor::Escapes if random.below(3) == 0 => random.pick(&ESCAPED),
            _ => random.pick(&WORDS),
        });
    }
    out.join(" ")
}

fn text(text: impl Into<String>) -> Sample {
    Sample::Text(text.into())
}

fn raw(raw: impl ToString) -> Sample {
    Sample::Raw(raw.to_string())
}

fn fraction(random: &mut Random, flavor: Flavor) -> Sample {
    match flavor {
        Flavor::Numbers => raw(format!(
            "{}.{:017}",
            random.below(1000),
            random.next_u64() % 100_000_000_000_000_000
        )),
        _ => raw(format!("{}.{:03}", random.below(100), random.below(1000))),
    }
}

/// One statement, of about 2.2 KB (600 bytes if short).
pub fn statement(random: &mut Random, flavor: Flavor) -> Sample {
    let language = if flavor == Flavor::Korean { "ko-KR" } else { "en-US" };
    let stamp = format!(
        "2025-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        3 + random.below(5),
        1 + random.below(28),
        random.below(24),
        random.below(60),
        random.below(60),
        random.below(1000)
    );
    let verb = random.pick(&["answered", "completed", "viewed", "launched", "progressed"]);
    let actor = Sample::object([
        ("objectType", text("Agent")),
        (
            "account",
            Sample::object([
                ("homePage", text("https://aidt.example.kr")),
                ("name", text(random.uuid())),
            ]),
        ),
    ]);
    let verb = Sample::object([
        ("id", text(format!("http://adlnet.gov/expapi/verbs/{verb}"))),
        ("display", Sample::object([(language, text(verb))])),
    ]);
    let item = random.below(100_000);
    let name = words(random, flavor, 4);
    let description = words(random, flavor, if flavor == Flavor::Short { 1 } else { 24 });
    let object = Sample::object([
        ("id", text(format!("https://aidt.example.kr/item/{item}"))),
        ("objectType", text("Activity")),
        (
            "definition",
            Sample::object([
                ("type", text("http://adlnet.gov/expapi/activities/question")),
                ("name", Sample::object([(language, text(name))])),
                ("description", Sample::object([(language, text(description))])),
            ]),
        ),
    ]);
    let mut pairs = vec![
        ("id".to_owned(), text(random.uuid())),
        ("actor".to_owned(), actor),
        ("verb".to_owned(), verb),
        ("object".to_owned(), object),
        ("timestamp".to_owned(), text(stamp.clone())),
    ];
    if flavor != Flavor::Short {
        pairs.push(("stored".to_owned(), text(stamp)));
        pairs.push(("version".to_owned(), text("1.0.3")));
        pairs.push(("result".to_owned(), result(random, flavor)));
        pairs.push(("context".to_owned(), context(random, flavor, language)));
        pairs.push(("authority".to_owned(), authority()));
    }
    Sample::Object(pairs)
}

fn authority() -> Sample {
    Sample::object([
        ("objectType", text("Agent")),
        ("name", text("lrs")),
        ("mbox", text("mailto:lrs@aidt.example.kr")),
    ])
}

fn result(random: &mut Random, flavor: Flavor) -> Sample {
    let mut extensions = Vec::new();
    for (i, name) in
        ["attempt", "duration", "hint-count", "difficulty", "elapsed"].iter().enumerate()
    {
        let value = if i == 0 { raw(random.below(20)) } else { fraction(random, flavor) };
        extensions.push((format!("https://aidt.example.kr/ext/{name}"), value));
    }
    if flavor == Flavor::Numbers {
        let track = (0..20).map(|_| fraction(random, flavor)).collect();
        extensions.push(("https://aidt.example.kr/ext/track".to_owned(), Sample::Array(track)));
    }
    Sample::object([
        (
            "score",
            Sample::object([
                ("raw", fraction(random, flavor)),
                ("min", raw(0)),
                ("max", raw(100)),
                ("scaled", raw(format!("0.{:02}", random.below(100)))),
            ]),
        ),
        ("success", raw(random.pick(&["true", "false"]))),
        ("completion", raw("true")),
        ("response", text(words(random, flavor, 6))),
        ("duration", text(format!("PT{}M{}S", random.below(60), random.below(60)))),
        ("extensions", Sample::Object(extensions)),
    ])
}

fn context(random: &mut Random, flavor: Flavor, language: &str) -> Sample {
    let activity = |random: &mut Random, kind: &str| {
        Sample::object([
            ("id", text(format!("https://aidt.example.kr/{kind}/{}", random.below(5_000)))),
            ("objectType", text("Activity")),
            (
                "definition",
                Sample::object([
                    ("type", text(format!("http://adlnet.gov/expapi/activities/{kind}"))),
                    ("name", Sample::object([(language, text(words(random, flavor, 3)))])),
                ]),
            ),
        ])
    };
    let parent = activity(random, "assessment");
    let grouping = vec![activity(random, "course"), activity(random, "lesson")];
    Sample::object([
        ("registration", text(random.uuid())),
        ("language", text(language)),
        ("platform", text("AIDT web 2.4")),
        (
            "contextActivities",
            Sample::object([
                ("parent", Sample::Array(vec![parent])),
                ("grouping", Sample::Array(grouping)),
            ]),
        ),
        (
            "extensions",
            Sample::object([
                ("https://aidt.example.kr/ext/session", text(random.uuid())),
                (
                    "https://aidt.example.kr/ext/school-code",
                    text(format!("S{:06}", random.below(999_999))),
                ),
                ("https://aidt.example.kr/ext/grade", raw(1 + random.below(6))),
                ("https://aidt.example.kr/ext/device", raw("null")),
            ]),
        ),
    ])
}
