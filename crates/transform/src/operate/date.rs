//! `DATE`: a time in one form becomes a time in another, by a pattern of Java's `SimpleDateFormat`.
//!
//! `TargetType` is the form of the result, as in Kafka Connect's `TimestampConverter`: `string` is written by the pattern,
//! `unix` is a number of seconds (of milliseconds, when the pattern has a fraction). A number is read as Unix time, in
//! milliseconds from 100,000,000,000 on. A text is read by the pattern, else as ISO 8601, else as such a number.
//! Reading is strict where Java's is lenient: the whole text must fit, and there is no 13th month.

use std::borrow::Cow;

use time::{Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use crate::value::{Reason, Val, excerpt};

use pattern::{Item, Pattern};

mod iso;
pub mod pattern;

/// A number from here on is milliseconds: as seconds it would be the year 5138.
const MILLIS_FROM: i128 = 100_000_000_000;

/// The form of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Written by the pattern.
    String,
    /// Unix time.
    Unix,
}

/// A compiled `DATE`.
#[derive(Debug, Clone)]
pub struct Date {
    pattern: Pattern,
    target: Target,
    offset: UtcOffset,
    millis: bool,
}

impl Date {
    /// Puts one together.
    ///
    /// # Errors
    /// What is wrong with the pattern or zone.
    pub fn new(pattern: &str, target: Target, seconds_east: i32) -> Result<Self, String> {
        let pattern = Pattern::parse(pattern)?;
        let offset = UtcOffset::from_whole_seconds(seconds_east).map_err(|e| e.to_string())?;
        let millis = pattern.items().iter().any(|item| matches!(item, Item::Fraction(_)));
        Ok(Self { pattern, target, offset, millis })
    }

    /// Turns a text, or a number as text, into the target's form.
    ///
    /// # Errors
    /// It is no time.
    pub fn apply(&self, text: &str, number: bool) -> Result<Val<'static>, Reason> {
        let read = if number {
            unix(text)
        } else {
            self.pattern
                .read(text, self.offset)
                .or_else(|| iso::read(text, self.offset))
                .or_else(|| unix(text))
        };
        let moment =
            read.ok_or_else(|| Reason::Owned(format!("{} is no time of this form", excerpt(text))))?;
        match self.target {
            Target::Unix => {
                let value = if self.millis {
                    moment.unix_timestamp_nanos().div_euclid(1_000_000)
                } else {
                    i128::from(moment.unix_timestamp())
                };
                Ok(Val::Number(Cow::Owned(value.to_string())))
            }
            Target::String => {
                let local = moment
                    .checked_to_offset(self.offset)
                    .ok_or(Reason::Borrowed("the time is beyond the years that can be written"))?;
                Ok(Val::Text(Cow::Owned(self.pattern.write(local))))
            }
        }
    }
}

/// Unix time in seconds or milliseconds, also with a fraction.
fn unix(text: &str) -> Option<OffsetDateTime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let plain = |text: &str| text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    if digits.is_empty() || !plain(digits) || !plain(fraction) {
        return None;
    }
    let number: i128 = whole.parse().ok()?;
    let unit: i128 = if number.abs() >= MILLIS_FROM { 1_000_000 } else { 1_000_000_000 };
    let mut nanos = 0i128;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        nanos += i128::from(digit - b'0') * place;
    }
    let nanos = if whole.starts_with('-') { -nanos } else { nanos };
    OffsetDateTime::from_unix_timestamp_nanos(number * unit + nanos).ok()
}

/// The fields of a time while they are being read. What isn't named is the beginning of 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    pub year: i32,
    pub month: u8,
    pub day: u8,
    pub day_of_year: Option<u16>,
    pub hour: u8,
    pub half: Option<bool>,
    pub minute: u8,
    pub second: u8,
    pub nanos: u32,
    pub offset: UtcOffset,
}

impl Parts {
    pub(crate) fn new(offset: UtcOffset) -> Self {
        Self {
            year: 1970,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            half: None,
            minute: 0,
            second: 0,
            nanos: 0,
            offset,
        }
    }

    pub(crate) fn moment(self) -> Option<OffsetDateTime> {
        let date = match self.day_of_year {
            Some(day) => time::Date::from_ordinal_date(self.year, day).ok()?,
            None => {
                time::Date::from_calendar_date(self.year, Month::try_from(self.month).ok()?, self.day).ok()?
            }
        };
        let hour = match self.half {
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None => self.hour,
        };
        let time = Time::from_hms_nano(hour, self.minute, self.second, self.nanos).ok()?;
        Some(PrimitiveDateTime::new(date, time).assume_offset(self.offset))
    }
}

#[cfg(test)]
mod tests;
