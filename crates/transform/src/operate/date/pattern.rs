//! Patterns of Java's `SimpleDateFormat`: read once, then used to read and to write times.

use time::{Month, OffsetDateTime, UtcOffset, Weekday};

use super::{Parts, iso};
use crate::operate::zone;

/// Letters of a pattern at most.
const MAX_TEXT: usize = 128;

/// A pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    items: Vec<Item>,
}

/// One field or text of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A text that stands for itself.
    Text(String),
    /// A number of at least so many digits.
    Number(Field, usize),
    /// The year in two digits.
    ShortYear,
    /// The fraction of a second in so many digits.
    Fraction(usize),
    /// The name of the month, in full or three letters.
    Month(bool),
    /// The name of the day of the week, in full or three letters.
    Weekday(bool),
    /// AM or PM.
    Half,
    /// The zone: as `GMT+08:00`, `+0800`, or ISO in one to three parts.
    Zone(Zone),
}

/// A field that is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    HourFrom1,
    Hour12,
    Hour12From1,
    Minute,
    Second,
}

/// How a zone is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// `GMT+08:00`
    Name,
    /// `+0800`
    Plain,
    /// `Z`, or `+08`, `+0800`, `+08:00`
    Iso(usize),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(format!("a pattern has 1 to {MAX_TEXT} letters"));
        }
        let mut items = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                literal(&quoted(&mut chars)?, &mut items);
            } else if c.is_ascii_alphabetic() {
                let mut count = 1;
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
                items.push(item(c, count)?);
            } else {
                literal(c.encode_utf8(&mut [0; 4]), &mut items);
            }
        }
        Ok(Self { items })
    }

    /// Its parts.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The time that a text says, if all of it fits. Without a zone in the pattern it is in `offset`.
    pub fn read(&self, text: &str, offset: UtcOffset) -> Option<OffsetDateTime> {
        let mut parts = Parts::new(offset);
        let mut rest = text;
        for (i, item) in self.items.iter().enumerate() {
            // A number that stands right before another has exactly its digits.
            let tight =
                matches!(self.items.get(i + 1), Some(Item::Number(..) | Item::Fraction(_) | Item::ShortYear));
            rest = item.read(rest, tight, &mut parts)?;
        }
        if rest.is_empty() { parts.moment() } else { None }
    }

    /// Writes a time.
    pub fn write(&self, at: OffsetDateTime) -> String {
        let mut out = String::with_capacity(32);
        for item in &self.items {
            item.write(at, &mut out);
        }
        out
    }
}

fn literal(text: &str, items: &mut Vec<Item>) {
    match items.last_mut() {
        Some(Item::Text(before)) => before.push_str(text),
        _ => items.push(Item::Text(text.to_owned())),
    }
}

/// What stands in single quotes; two of them are one.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    if chars.next_if_eq(&'\'').is_some() {
        return Ok("'".to_owned());
    }
    let mut out = String::new();
    while let Some(c) = chars.next() {
        if c != '\'' {
            out.push(c);
        } else if chars.next_if_eq(&'\'').is_some() {
            out.push('\'');
        } else {
            return Ok(out);
        }
    }
    Err("a quote in the pattern has no end".to_owned())
}

fn item(letter: char, count: usize) -> Result<Item, String> {
    Ok(match letter {
        'y' if count == 2 => Item::ShortYear,
        'y' => Item::Number(Field::Year, count),
        'M' if count >= 3 => Item::Month(count >= 4),
        'M' => Item::Number(Field::Month, count),
        'd' => Item::Number(Field::Day, count),
        'D' => Item::Number(Field::DayOfYear, count),
        'H' => Item::Number(Field::Hour, count),
        'k' => Item::Number(Field::HourFrom1, count),
        'K' => Item::Number(Field::Hour12, count),
        'h' => Item::Number(Field::Hour12From1, count),
        'm' => Item::Number(Field::Minute, count),
        's' => Item::Number(Field::Second, count),
        'S' if count <= 9 => Item::Fraction(count),
        'E' => Item::Weekday(count >= 4),
        'a' => Item::Half,
        'z' => Item::Zone(Zone::Name),
        'Z' => Item::Zone(Zone::Plain),
        'X' if count <= 3 => Item::Zone(Zone::Iso(count)),
        _ => {
            let all: String = std::iter::repeat_n(letter, count).collect();
            return Err(format!(
                "{all:?} isn't supported in a date pattern; a text belongs in single quotes"
            ));
        }
    })
}

impl Item {
    /// Reads the item at the beginning of a text, and gives back what follows.
    fn read<'t>(&self, text: &'t str, tight: bool, parts: &mut Parts) -> Option<&'t str> {
        match self {
            Self::Text(wanted) => text.strip_prefix(wanted.as_str()),
            Self::Number(field, width) => {
                let most = if *field == Field::Year { 4 } else { 3 };
                let (number, rest) = number(text, if tight { *width } else { most.max(*width) }, tight)?;
                field.set(number, parts)?;
                Some(rest)
            }
            Self::ShortYear => {
                let (number, rest) = number(text, if tight { 2 } else { 4 }, tight)?;
                let century = if number >= 100 {
                    0
                } else if number < 69 {
                    2000
                } else {
                    1900
                };
                parts.year = number as i32 + century;
                Some(rest)
            }
            Self::Fraction(width) => {
                let digits = text.bytes().take_while(u8::is_ascii_digit).count();
                let (digits, rest) = text.split_at_checked(if tight { *width } else { digits })?;
                parts.nanos = iso::fraction(digits)?;
                Some(rest)
            }
            Self::Month(_) => {
                let (month, rest) = name(text, (1..=12).filter_map(|m| Month::try_from(m).ok()))?;
                parts.month = month.into();
                Some(rest)
            }
            Self::Weekday(_) => {
                let days = std::iter::successors(Some(Weekday::Monday), |day| Some(day.next())).take(7);
                name(text, days).map(|(_, rest)| rest)
            }
            Self::Half => {
                let (half, rest) = text.split_at_checked(2)?;
                parts.half = Some(match half {
                    _ if half.eq_ignore_ascii_case("AM") => false,
                    _ if half.eq_ignore_ascii_case("PM") => true,
                    _ => return None,
                });
                Some(rest)
            }
            Self::Zone(_) => {
                let end = text
                    .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | ':' | '/' | '_')))
                    .unwrap_or(text.len());
                let (zone, rest) = text.split_at_checked(end)?;
                parts.offset = UtcOffset::from_whole_seconds(zone::offset(zone).ok()?).ok()?;
                Some(rest)
            }
        }
    }

    fn write(&self, at: OffsetDateTime, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Number(field, width) => digits(field.get(at), *width, out),
            Self::ShortYear => digits(at.year().rem_euclid(100) as u32, 2, out),
            Self::Fraction(width) => {
                digits(at.nanosecond() / 10u32.pow(9 - (*width).min(9) as u32), *width, out);
            }
            Self::Month(full) => short(&at.month().to_string(), *full, out),
            Self::Weekday(full) => short(&at.weekday().to_string(), *full, out),
            Self::Half => out.push_str(if at.hour() < 12 { "AM" } else { "PM" }),
            Self::Zone(zone) => zone.write(at.offset(), out),
        }
    }
}

impl Field {
    fn set(self, number: u32, parts: &mut Parts) -> Option<()> {
        let small = u8::try_from(number).ok();
        match self {
            Self::Year => parts.year = i32::try_from(number).ok()?,
            Self::Month => parts.month = small?,
            Self::Day => parts.day = small?,
            Self::DayOfYear => parts.day_of_year = u16::try_from(number).ok(),
            Self::Hour => parts.hour = small?,
            Self::HourFrom1 => parts.hour = small.filter(|h| (1..=24).contains(h))? % 24,
            Self::Hour12 => parts.hour = small.filter(|h| *h < 12)?,
            Self::Hour12From1 => parts.hour = small.filter(|h| (1..=12).contains(h))? % 12,
            Self::Minute => parts.minute = small?,
            Self::Second => parts.second = small?,
        }
        Some(())
    }

    fn get(self, at: OffsetDateTime) -> u32 {
        let hour = u32::from(at.hour());
        match self {
            Self::Year => at.year().unsigned_abs(),
            Self::Month => u8::from(at.month()).into(),
            Self::Day => at.day().into(),
            Self::DayOfYear => at.ordinal().into(),
            Self::Hour => hour,
            Self::HourFrom1 => (hour + 23) % 24 + 1,
            Self::Hour12 => hour % 12,
            Self::Hour12From1 => (hour + 11) % 12 + 1,
            Self::Minute => at.minute().into(),
            Self::Second => at.second().into(),
        }
    }
}

impl Zone {
    fn write(self, offset: UtcOffset, out: &mut String) {
        let minutes = offset.whole_seconds() / 60;
        if matches!(self, Self::Iso(_)) && minutes == 0 {
            return out.push('Z');
        }
        if self == Self::Name {
            out.push_str("GMT");
            if minutes == 0 {
                return;
            }
        }
        out.push(if minutes < 0 { '-' } else { '+' });
        digits(minutes.unsigned_abs() / 60, 2, out);
        if matches!(self, Self::Name | Self::Iso(3)) {
            out.push(':');
        }
        if self != Self::Iso(1) {
            digits(minutes.unsigned_abs() % 60, 2, out);
        }
    }
}

/// A number of up to `width` digits at the beginning of a text; of exactly so many if `exact`.
fn number(text: &str, width: usize, exact: bool) -> Option<(u32, &str)> {
    let digits = text.bytes().take(width.min(9)).take_while(u8::is_ascii_digit).count();
    if digits == 0 || (exact && digits != width) {
        return None;
    }
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, rest))
}

/// One of some names, in full or three letters, at the beginning of a text.
fn name<T: ToString + Copy>(text: &str, mut all: impl Iterator<Item = T>) -> Option<(T, &str)> {
    all.find_map(|one| {
        let full = one.to_string();
        [full.as_str(), full.get(..3)?].into_iter().find_map(|name| {
            let (start, rest) = text.split_at_checked(name.len())?;
            start.eq_ignore_ascii_case(name).then_some((one, rest))
        })
    })
}

fn short(name: &str, full: bool, out: &mut String) {
    out.push_str(if full { name } else { name.get(..3).unwrap_or(name) });
}

fn digits(number: u32, width: usize, out: &mut String) {
    let mut buffer = [b'0'; 10];
    let mut at = buffer.len();
    let mut left = number;
    while left > 0 || at == buffer.len() {
        at -= 1;
        buffer[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    for _ in buffer.len() - at..width {
        out.push('0');
    }
    out.extend(buffer[at..].iter().map(|b| *b as char));
}
