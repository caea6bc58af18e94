//! What is asked of a topic, and which records answer it.

use std::borrow::Cow;
use std::fmt;

use crate::block::{Range, RecordRef};
use crate::words::{Words, fields, folded, in_word, same};
use crate::{Error, Result, bloom};

/// Conditions of one query at most.
const MAX_CONDITIONS: usize = 32;
/// Longest text of a condition.
const MAX_TEXT: usize = 4096;
/// The name under which a record's stream is asked for.
pub(crate) const STREAM: &str = "_stream";

/// How a field is compared. Texts are compared as they are; `<` and its like compare numbers where both sides are numbers, and texts otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The same text.
    Equal,
    /// There, and another text.
    NotEqual,
    /// Less.
    Less,
    /// Less or the same.
    AtMost,
    /// Greater.
    Greater,
    /// Greater or the same.
    AtLeast,
    /// Begins with the text.
    Prefix,
    /// The field is there; the value does not matter.
    Exists,
    /// The field is not there.
    Missing,
}

impl Operator {
    /// All of them, with their signs.
    pub const ALL: [(&'static str, Self); 9] = [
        ("=", Self::Equal),
        ("!=", Self::NotEqual),
        ("<", Self::Less),
        ("<=", Self::AtMost),
        (">", Self::Greater),
        (">=", Self::AtLeast),
        ("^=", Self::Prefix),
        ("exists", Self::Exists),
        ("missing", Self::Missing),
    ];

    /// The one with this sign.
    #[must_use]
    pub fn named(sign: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(s, _)| *s == sign).map(|(_, o)| o)
    }
}

/// A condition on a field. Members of members are named `a.b`; `_stream` is the record's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Field.
    pub field: String,
    /// How.
    pub operator: Operator,
    /// With what.
    pub value: String,
}

/// In which order records are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// By time, the newest first.
    #[default]
    Newest,
    /// By time, the oldest first.
    Oldest,
    /// As they arrived.
    Arrival,
}

/// The place of a record in an order: where the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// Its time.
    pub time: i64,
    /// Its number.
    pub number: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time, self.number)
    }
}

impl std::str::FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text
            .split_once('.')
            .and_then(|(time, number)| Some(Self { time: time.parse().ok()?, number: number.parse().ok()? }));
        parsed.ok_or_else(|| Error::Invalid("the cursor is none of this server".to_owned()))
    }
}

/// What is asked. All conditions have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// From this time on, in µs.
    pub from: i64,
    /// Up to before this time.
    pub to: i64,
    /// On fields.
    pub filters: Vec<Filter>,
    /// Texts whose words stand next to each other, in this order, in one field (case does not matter).
    pub phrases: Vec<String>,
    /// Records at most.
    pub limit: usize,
    /// Their order.
    pub order: Order,
    /// Go on after this one.
    pub after: Option<Cursor>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            from: i64::MIN,
            to: i64::MAX,
            filters: Vec::new(),
            phrases: Vec::new(),
            limit: 100,
            order: Order::Newest,
            after: None,
        }
    }
}

/// A query made ready.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) filters: Vec<Test>,
    phrases: Vec<Vec<String>>,
    /// Hashes of words that a matching record has.
    pub(crate) needed: Vec<u64>,
}

impl Compiled {
    pub(crate) fn of(q: &Query) -> Result<Self> {
        if q.filters.len() + q.phrases.len() > MAX_CONDITIONS {
            return Err(Error::Invalid(format!("a query may have {MAX_CONDITIONS} conditions")));
        }
        let filter_texts = q.filters.iter().flat_map(|f| [&f.field, &f.value]);
        if filter_texts.chain(&q.phrases).any(|t| t.len() > MAX_TEXT) {
            return Err(Error::Invalid(format!("a condition may have {MAX_TEXT} bytes")));
        }
        let phrases: Vec<Vec<String>> = q.phrases.iter().map(|p| Words(p).map(folded).collect()).collect();
        if phrases.iter().any(Vec::is_empty) {
            return Err(Error::Invalid("a text to look for has a letter or digit at least".to_owned()));
        }
        let filters: Vec<Test> = q.filters.iter().cloned().map(Test::of).collect();
        let mut needed: Vec<u64> = phrases.iter().flatten().map(|w| bloom::hash(w)).collect();
        needed.extend(filters.iter().flat_map(Test::needed));
        Ok(Self { from: q.from, to: q.to, filters, phrases, needed })
    }

    /// Does every record of the stretch answer?
    pub(crate) fn takes_all(&self, min: i64, max: i64) -> bool {
        self.filters.is_empty() && self.phrases.is_empty() && self.from <= min && max < self.to
    }

    pub(crate) fn matches(&self, r: &RecordRef<'_>) -> bool {
        (self.from..self.to).contains(&r.time)
            && self.filters.iter().all(|f| f.matches(r))
            && self.phrases.iter().all(|p| has_phrase(r.text, p))
    }
}

fn has_phrase(text: &[u8], phrase: &[String]) -> bool {
    !fields(text, &mut |_, value| {
        if let [word] = phrase {
            return !Words(&value).any(|w| same(w, word));
        }
        let words: Vec<&str> = Words(&value).collect();
        !words.windows(phrase.len()).any(|w| w.iter().zip(phrase).all(|(w, f)| same(w, f)))
    })
}

/// A filter made ready.
#[derive(Debug)]
pub(crate) struct Test {
    filter: Filter,
    number: Option<Number>,
}

#[derive(Debug, Clone, Copy)]
enum Number {
    Whole(i64),
    Real(f64),
}

impl Number {
    fn of(text: &str) -> Option<Self> {
        let real = || text.parse().ok().filter(|n: &f64| n.is_finite()).map(Self::Real);
        text.parse().ok().map(Self::Whole).or_else(real)
    }

    #[allow(clippy::cast_precision_loss, reason = "beside a real number a whole one is one")]
    fn real(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Real(n) => n,
        }
    }
}

impl Test {
    fn of(filter: Filter) -> Self {
        Self { number: Number::of(&filter.value), filter }
    }

    pub(crate) fn field(&self) -> &str {
        &self.filter.field
    }

    pub(crate) fn is_of_stream(&self) -> bool {
        self.filter.field == STREAM
    }

    /// Words that a matching record has for certain.
    fn needed(&self) -> Vec<u64> {
        let value = &self.filter.value;
        let whole = match self.filter.operator {
            Operator::Equal => value.as_str(),
            // Its last word may go on.
            Operator::Prefix => value.trim_end_matches(in_word),
            _ => "",
        };
        Words(whole).map(bloom::hash).collect()
    }

    fn matches(&self, r: &RecordRef<'_>) -> bool {
        let found = value_of(r, &self.filter.field);
        self.holds(found.as_deref())
    }

    fn holds(&self, found: Option<&str>) -> bool {
        use std::cmp::Ordering as O;
        let Some(found) = found else { return self.filter.operator == Operator::Missing };
        let value = self.filter.value.as_str();
        match self.filter.operator {
            Operator::Equal => found == value,
            Operator::NotEqual => found != value,
            Operator::Less => self.compare(found) == O::Less,
            Operator::AtMost => self.compare(found) != O::Greater,
            Operator::Greater => self.compare(found) == O::Greater,
            Operator::AtLeast => self.compare(found) != O::Less,
            Operator::Prefix => found.starts_with(value),
            Operator::Exists => true,
            Operator::Missing => false,
        }
    }

    fn compare(&self, found: &str) -> std::cmp::Ordering {
        match (Number::of(found), self.number) {
            (Some(Number::Whole(a)), Some(Number::Whole(b))) => a.cmp(&b),
            (Some(a), Some(b)) => a.real().total_cmp(&b.real()),
            _ => found.cmp(self.filter.value.as_str()),
        }
    }

    /// May a record of a block match, whose field has this range (`None` = the field is nowhere in it)? False is certain.
    pub(crate) fn may_match(&self, range: Option<Range>) -> bool {
        let Some(Range(range)) = range else { return self.filter.operator == Operator::Missing };
        let Some((min, max)) = range else { return true };
        let value = match self.number {
            Some(Number::Whole(value)) => value,
            // All are whole numbers, and this is none.
            _ => return self.filter.operator != Operator::Equal,
        };
        match self.filter.operator {
            Operator::Equal => (min..=max).contains(&value),
            Operator::Less => min < value,
            Operator::AtMost => min <= value,
            Operator::Greater => max > value,
            Operator::AtLeast => max >= value,
            Operator::NotEqual | Operator::Prefix | Operator::Exists | Operator::Missing => true,
        }
    }
}

/// The text of a field of a record.
pub(crate) fn value_of<'a>(r: &RecordRef<'a>, field: &str) -> Option<Cow<'a, str>> {
    if field == STREAM {
        return Some(Cow::Borrowed(r.stream));
    }
    let mut found = None;
    fields(r.text, &mut |name, value| {
        let is = name == field;
        if is {
            found = Some(value);
        }
        !is
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(field: &str, sign: &str, value: &str) -> bool {
        let filter = Filter {
            field: field.to_owned(),
            operator: Operator::named(sign).unwrap(),
            value: value.to_owned(),
        };
        let q = Query { filters: vec![filter], ..Query::default() };
        let text = br#"{"n":9,"big":9007199254740993,"s":"abc","o":{"p":"-"},"r":1.5,"nul":null}"#;
        Compiled::of(&q).unwrap().matches(&RecordRef { number: 0, time: 0, stream: "eni-1", text })
    }

    #[test]
    fn fields_are_compared() {
        for (field, sign, value) in [
            ("n", "=", "9"),
            ("n", "<", "10"),
            ("n", ">=", "9"),
            ("n", ">", "8.9"),
            ("big", ">", "9007199254740992"),
            ("s", "!=", "ab"),
            ("s", "^=", "ab"),
            ("s", ">", "abb"),
            ("o.p", "=", "-"),
            ("r", "<=", "2"),
            ("s", "exists", ""),
            ("nul", "missing", ""),
            ("_stream", "=", "eni-1"),
        ] {
            assert!(matches(field, sign, value), "{field} {sign} {value}");
        }
        for (field, sign, value) in [
            ("n", "=", "9.0"),
            ("n", "<", "9"),
            ("s", "=", "ABC"),
            ("none", "!=", "x"),
            ("none", "=", ""),
            ("o", "exists", ""),
            ("n", "missing", ""),
            ("_stream", "=", "eni-2"),
        ] {
            assert!(!matches(field, sign, value), "{field} {sign} {value}");
        }
    }

    #[test]
    fn phrases_stand_in_one_field() {
        let has = |phrase: &str| {
            let q = Query { phrases: vec![phrase.to_owned()], ..Query::default() };
            let text = r#"{"a":"Connection to 10.0.0.1 refused","b":["x","y z"],"c":"连接失败"}"#;
            let r = RecordRef { number: 0, time: 0, stream: "", text: text.as_bytes() };
            Compiled::of(&q).unwrap().matches(&r)
        };
        for yes in ["refused", "CONNECTION to", "10.0.0.1", "0.1 refused", "x y z", "接失"] {
            assert!(has(yes), "{yes}");
        }
        for no in ["refuse", "10.0.0.2", "to connection", "refused x", "失接"] {
            assert!(!has(no), "{no}");
        }
        let empty = Query { phrases: vec!["--".into()], ..Query::default() };
        assert!(Compiled::of(&empty).is_err());
        assert_eq!("5.7".parse::<Cursor>().unwrap().to_string(), "5.7");
        assert!("x".parse::<Cursor>().is_err());
    }
}
