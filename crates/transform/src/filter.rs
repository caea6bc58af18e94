//! `FilterParam`: what a result must be to go on.
//!
//! A result that isn't is left out; that is no failure. A field that is absent or null passes `EXCEPT` only.

use std::cmp::Ordering;
use std::net::IpAddr;

use crate::json::text::write_escaped;
use crate::row::{Row, text_of};
use crate::spec;

/// One filter.
#[derive(Debug, Clone)]
pub struct Filter {
    /// The field's name as it is written in JSON.
    key: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Prefix(String),
    Suffix(String),
    Contains(String),
    Except(Vec<String>),
    Number(Vec<(Compare, Number)>),
    Ip(Vec<(IpAddr, u32)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A number; a whole one is compared as such, whatever its size up to 38 digits.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Whole(i128),
    Real(f64),
}

impl Filter {
    /// Puts one together.
    ///
    /// # Errors
    /// What is wrong with its `Value`.
    pub fn new(filter: &spec::Filter) -> Result<Self, String> {
        let value = filter.value.clone();
        let mut key = String::new();
        write_escaped(&filter.key, &mut key);
        let test = match filter.mode {
            spec::MatchMode::Prefix => Test::Prefix(value),
            spec::MatchMode::Suffix => Test::Suffix(value),
            spec::MatchMode::Contains => Test::Contains(value),
            spec::MatchMode::Except => Test::Except(texts(&value)),
            spec::MatchMode::Number => Test::Number(ranges(&value)?),
            spec::MatchMode::Ip => Test::Ip(networks(&value)?),
        };
        Ok(Self { key, test })
    }

    /// Does the row pass?
    pub fn passes(&self, row: &Row) -> bool {
        let Some(written) = row.get(&self.key).filter(|written| *written != "null") else {
            return matches!(self.test, Test::Except(_));
        };
        let text = text_of(written);
        match &self.test {
            Test::Prefix(wanted) => text.starts_with(wanted.as_str()),
            Test::Suffix(wanted) => text.ends_with(wanted.as_str()),
            Test::Contains(wanted) => text.contains(wanted.as_str()),
            Test::Except(unwanted) => unwanted.iter().all(|other| *other != text),
            Test::Number(all) => match Number::parse(&text) {
                Some(number) => all.iter().all(|(compare, bound)| compare.holds(number.order(*bound))),
                None => false,
            },
            Test::Ip(any) => match text.parse::<IpAddr>() {
                Ok(address) => any.iter().any(|(network, bits)| within(address, *network, *bits)),
                Err(_) => false,
            },
        }
    }
}

/// One text, or those of a JSON list of texts.
fn texts(value: &str) -> Vec<String> {
    serde_json::from_str::<Vec<String>>(value).unwrap_or_else(|_| vec![value.to_owned()])
}

/// `200`, `>=200,<300`, or as EventBridge writes it `[">=",200,"<",300]`; all must hold.
fn ranges(value: &str) -> Result<Vec<(Compare, Number)>, String> {
    let wrong = |part: &str| format!("{part:?} is no number and no comparison such as >=200,<300");
    let plain: String = match serde_json::from_str::<Vec<serde_json::Value>>(value) {
        Ok(list) => list
            .chunks(2)
            .map(|pair| {
                pair.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect()
            })
            .collect::<Vec<String>>()
            .join(","),
        Err(_) => value.to_owned(),
    };
    plain
        .split(',')
        .map(|part| {
            let part = part.trim();
            let signs = [
                (">=", Compare::GreaterOrEqual),
                ("<=", Compare::LessOrEqual),
                (">", Compare::Greater),
                ("<", Compare::Less),
                ("==", Compare::Equal),
                ("=", Compare::Equal),
            ];
            let found = signs.iter().find_map(|(sign, compare)| Some((*compare, part.strip_prefix(sign)?)));
            let (compare, number) = found.unwrap_or((Compare::Equal, part));
            Number::parse(number.trim()).map(|number| (compare, number)).ok_or_else(|| wrong(part))
        })
        .collect()
}

/// `10.0.0.1`, `10.0.0.0/8,2001:db8::/32`; one must hold.
fn networks(value: &str) -> Result<Vec<(IpAddr, u32)>, String> {
    value
        .split(',')
        .map(|part| {
            let part = part.trim();
            let wrong = || format!("{part:?} is no IP address and no network such as 10.0.0.0/8");
            let (address, bits) = part.split_once('/').map_or((part, None), |(a, b)| (a, Some(b)));
            let address: IpAddr = address.parse().map_err(|_| wrong())?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = match bits {
                Some(bits) => bits.parse::<u32>().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?,
                None => most,
            };
            Ok((address, bits))
        })
        .collect()
}

fn within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (a, b, most) = match (address.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    // A network that was written in its IPv6 form has 96 bits more.
    let bits = if most == 32 && network.is_ipv6() { bits.saturating_sub(96) } else { bits };
    a.checked_shr(most - bits).unwrap_or(0) == b.checked_shr(most - bits).unwrap_or(0)
}

impl Compare {
    fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse::<i128>() {
            return Some(Self::Whole(whole));
        }
        text.parse::<f64>().ok().filter(|real| real.is_finite()).map(Self::Real)
    }

    fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (a, b) => a.real().partial_cmp(&b.real()),
        }
    }

    fn real(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Real(real) => real,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use crate::row::Row;
    use crate::spec::{self, MatchMode};
    use crate::value::Val;

    fn passes(mode: MatchMode, wanted: &str, value: &Val<'_>) -> bool {
        let filter = spec::Filter { key: "a\"b".to_owned(), mode, value: wanted.to_owned() };
        let mut row = Row::default();
        row.begin();
        row.add_named("a\"b", value).unwrap();
        row.end();
        Filter::new(&filter).unwrap().passes(&row)
    }

    #[test]
    fn every_mode_lets_pass_what_it_says() {
        use MatchMode::{Contains, Except, Ip, Number, Prefix, Suffix};
        let text = |t: &'static str| Val::Text(t.into());
        let number = |t: &'static str| Val::Number(t.into());
        for (mode, wanted, value, passed) in [
            (Prefix, "ab", text("abc"), true),
            (Prefix, "bc", text("abc"), false),
            (Suffix, "\n", text("a\n"), true),
            (Contains, "\"", text("a\"b"), true),
            (Contains, "x", Val::Null, false),
            (Except, "a", text("a"), false),
            (Except, "a", text("b"), true),
            (Except, "a", Val::Null, true),
            (Except, "[\"a\",\"b\"]", text("b"), false),
            (Number, "200", number("200"), true),
            (Number, "200", text("200"), true),
            (Number, "200", number("200.0"), true),
            (Number, "200", number("2e2"), true),
            (Number, "200", text("200x"), false),
            (Number, "200", Val::Bool(true), false),
            (Number, "9007199254740993", number("9007199254740992"), false),
            (Number, ">=200,<300", number("299.5"), true),
            (Number, ">=200,<300", number("300"), false),
            (Number, "[\">\",10,\"<=\",20]", number("20"), true),
            (Number, "[200]", number("200"), true),
            (Number, "> -5", number("-4"), true),
            (Ip, "10.0.0.0/8", text("10.1.2.3"), true),
            (Ip, "10.0.0.0/8", text("11.1.2.3"), false),
            (Ip, "10.0.0.1,192.168.0.0/16", text("192.168.3.4"), true),
            (Ip, "10.0.0.1", text("10.0.0.2"), false),
            (Ip, "0.0.0.0/0", text("8.8.8.8"), true),
            (Ip, "::/0", text("2001:db8::1"), true),
            (Ip, "2001:db8::/32", text("2001:db8::1"), true),
            (Ip, "10.0.0.0/8", text("::ffff:10.0.0.1"), true),
            (Ip, "10.0.0.0/8", text("10.0.0"), false),
        ] {
            assert_eq!(passes(mode, wanted, &value), passed, "{mode:?} {wanted} {value:?}");
        }
    }

    #[test]
    fn a_value_that_can_never_match_is_refused() {
        for (mode, value) in [
            (MatchMode::Number, "many"),
            (MatchMode::Number, ">=1,"),
            (MatchMode::Number, "NaN"),
            (MatchMode::Ip, "10.0.0.0/33"),
            (MatchMode::Ip, "host"),
            (MatchMode::Ip, "::/129"),
        ] {
            let filter = spec::Filter { key: "k".to_owned(), mode, value: value.to_owned() };
            assert!(Filter::new(&filter).is_err(), "{value}");
        }
    }
}
