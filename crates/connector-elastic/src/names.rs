//! Names of indexes, dates in them, and the text of `@timestamp`.

use time::OffsetDateTime;

/// The longest name of an index, in bytes.
const MAX_INDEX: usize = 255;

/// What is wrong with the name of an index, by the rules that Elasticsearch and OpenSearch share.
pub(crate) fn index_problem(name: &str) -> Option<&'static str> {
    let forbidden =
        |c: char| matches!(c, '\\' | '/' | '*' | '?' | '"' | '<' | '>' | '|' | ' ' | ',' | '#' | ':');
    if name.is_empty() || name.len() > MAX_INDEX {
        return Some("must have 1 to 255 bytes");
    }
    if name.chars().any(|c| c.is_uppercase()) {
        return Some("must be lower case");
    }
    if name.chars().any(|c| forbidden(c) || c.is_control()) {
        return Some("must hold none of \\ / * ? \" < > | , # : and no space");
    }
    if name.starts_with(['-', '_', '+']) || matches!(name, "." | "..") {
        return Some("must not begin with - _ +, nor be . or ..");
    }
    None
}

/// A date as a part of a name: `yyyy-MM-dd`, `yyyy.MM`, `yyyyMMddHH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatePattern(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Year,
    Month,
    Day,
    Hour,
    Sign(char),
}

impl DatePattern {
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let known =
                [("yyyy", Piece::Year), ("MM", Piece::Month), ("dd", Piece::Day), ("HH", Piece::Hour)];
            let found = known.into_iter().find_map(|(word, piece)| Some((piece, rest.strip_prefix(word)?)));
            let (piece, left) = match found {
                Some(found) => found,
                None if matches!(first, '-' | '.' | '_') => {
                    (Piece::Sign(first), rest.get(1..).unwrap_or_default())
                }
                None => {
                    return Err(format!("must be made of yyyy, MM, dd, HH and - . _, which `{rest}` is not"));
                }
            };
            pieces.push(piece);
            rest = left;
        }
        if pieces.is_empty() || pieces.len() > 16 {
            return Err("must have 1 to 16 parts".to_owned());
        }
        Ok(Self(pieces))
    }

    fn write(&self, at: OffsetDateTime) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Year => out.push_str(&format!("{:04}", at.year())),
                Piece::Month => out.push_str(&format!("{:02}", u8::from(at.month()))),
                Piece::Day => out.push_str(&format!("{:02}", at.day())),
                Piece::Hour => out.push_str(&format!("{:02}", at.hour())),
                Piece::Sign(c) => out.push(*c),
            }
        }
        out
    }
}

fn date(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The date part of index names, remembered for an hour of records.
#[derive(Debug)]
pub(crate) struct DateSuffix {
    pattern: DatePattern,
    offset_ms: i64,
    hour: i64,
    text: String,
}

impl DateSuffix {
    pub(crate) fn new(pattern: DatePattern, utc_offset_s: i32) -> Self {
        Self { pattern, offset_ms: i64::from(utc_offset_s) * 1000, hour: i64::MIN, text: String::new() }
    }

    pub(crate) fn at(&mut self, ms: i64) -> &str {
        let local = ms.saturating_add(self.offset_ms);
        let hour = local.div_euclid(3_600_000);
        if hour != self.hour {
            self.text = self.pattern.write(date(local));
            self.hour = hour;
        }
        &self.text
    }
}

/// `2026-11-30T19:12:02.123Z`, with the seconds remembered: neighbours mostly share them.
#[derive(Debug, Default)]
pub(crate) struct IsoTime {
    second: Option<i64>,
    text: String,
}

impl IsoTime {
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, ms: i64) {
        let second = ms.div_euclid(1000);
        if self.second != Some(second) {
            let d = date(ms);
            let (month, day) = (u8::from(d.month()), d.day());
            let clock = (d.hour(), d.minute(), d.second());
            self.text =
                format!("{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.", d.year(), clock.0, clock.1, clock.2);
            self.second = Some(second);
        }
        out.extend_from_slice(self.text.as_bytes());
        let milli = ms.rem_euclid(1000) as u16;
        let digit = |n: u16| b'0' + (n % 10) as u8;
        out.extend_from_slice(&[digit(milli / 100), digit(milli / 10), digit(milli), b'Z']);
    }
}

/// A moment as documents spell it: epoch in seconds or milliseconds, RFC 3339, `2026-11-30 19:12:02` (UTC), a day.
pub(crate) fn read_time(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<f64>() {
        let ms = if number.abs() < 1e11 { number * 1000.0 } else { number };
        return (ms.abs() < 2.5e14).then_some(ms as i64);
    }
    let mut full = text.trim().replace(' ', "T");
    if full.len() == 10 {
        full.push_str("T00:00:00");
    }
    let zone = full.get(19..).is_some_and(|t| t.contains(['Z', '+', '-']));
    if !zone {
        full.push('Z');
    }
    let at = OffsetDateTime::parse(&full, &time::format_description::well_known::Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_names_follow_the_rules() {
        for good in ["a", "logs-2026.11", "日本", ".hidden"] {
            assert_eq!(index_problem(good), None, "{good}");
        }
        for bad in ["", "Upper", "a b", "a/b", "_x", "-x", "+x", ".", "..", "a*", "a\nb", &"x".repeat(256)] {
            assert!(index_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn dates_are_written_by_pattern() {
        let mut s = DateSuffix::new(DatePattern::parse("yyyy-MM-dd").unwrap(), 0);
        assert_eq!(s.at(1_796_065_922_123), "2026-11-30");
        assert_eq!(s.at(0), "1970-01-01");
        let mut s = DateSuffix::new(DatePattern::parse("yyyy.MM.dd_HH").unwrap(), 28_800);
        assert_eq!(s.at(1_796_065_922_123), "2026.12.01_03");
        for bad in ["", "YYYY", "yyyy/MM", "yyyy-mm", "yyyy MM"] {
            assert!(DatePattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_are_read_and_written() {
        let ms = 1_796_065_922_123;
        let mut out = Vec::new();
        IsoTime::default().push(&mut out, ms);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "2026-11-30T18:32:02.123Z".replace("18:32", &text[11..16]));
        for (text, at) in [
            (text.as_str(), ms),
            ("1796065922123", ms),
            ("1796065922", 1_796_065_922_000),
            ("1970-01-02", 86_400_000),
            ("1970-01-01 00:00:01", 1000),
            ("1970-01-01T08:00:00+08:00", 0),
        ] {
            assert_eq!(read_time(text), Some(at), "{text}");
        }
        for bad in ["", "yesterday", "NaN", "inf", "1e300", "2026-13-01"] {
            assert_eq!(read_time(bad), None, "{bad}");
        }
    }
}
