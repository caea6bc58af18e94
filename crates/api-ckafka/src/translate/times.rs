//! Times as the product writes them: `YYYY-MM-DD HH:MM:SS`, without a zone.
//!
//! The product means Beijing's time. Here the zone is a setting, UTC by default.

use model::Timestamp;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// Writes a time, or nothing where it can't be one.
#[must_use]
pub fn text(at: Timestamp, utc_offset_s: i32) -> String {
    let zone = UtcOffset::from_whole_seconds(utc_offset_s).unwrap_or(UtcOffset::UTC);
    OffsetDateTime::from_unix_timestamp(at.seconds())
        .map(|t| t.to_offset(zone))
        .ok()
        .and_then(|t| t.format(SECONDS).ok())
        .unwrap_or_default()
}

/// Seconds east of Greenwich of `UTC+08:00`; `GMT` and a lone hour are taken too.
#[must_use]
pub fn zone(text: &str) -> Option<i32> {
    let rest = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT"))?;
    if rest.is_empty() {
        return Some(0);
    }
    let (sign, rest) = match rest.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, rest.strip_prefix('-')?),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let number = |s: &str, most: i32| {
        let fits = (1..=2).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        s.parse().ok().filter(|n: &i32| fits && *n <= most)
    };
    Some(sign * (number(hours, 14)? * 3_600 + number(minutes, 59)? * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let at = Timestamp(1_700_000_000_123_456);
        assert_eq!(text(at, 0), "2023-11-14 22:13:20");
        assert_eq!(text(at, 28_800), "2023-11-15 06:13:20");
    }

    #[test]
    fn zones() {
        for (text, want) in [
            ("UTC+08:00", Some(28_800)),
            ("UTC", Some(0)),
            ("GMT+8", Some(28_800)),
            ("UTC-03:30", Some(-12_600)),
            ("Asia/Shanghai", None),
            ("UTC08:00", None),
            ("UTC+99:00", None),
            ("UTC+08:61", None),
            ("UTC+", None),
        ] {
            assert_eq!(zone(text), want, "{text}");
        }
    }
}
