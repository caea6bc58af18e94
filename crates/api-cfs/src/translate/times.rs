//! Times as the product writes them: `YYYY-MM-DD HH:MM:SS`, without a zone.
//!
//! The product means Beijing's time. Here the zone is a setting, UTC by default; what is written is
//! read back with the same one.

use model::Timestamp;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
const MINUTES: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]");

/// Writes a time, or nothing where it can't be one.
#[must_use]
pub fn text(at: Timestamp, utc_offset_s: i32) -> String {
    OffsetDateTime::from_unix_timestamp(at.seconds())
        .map(|t| t.to_offset(offset(utc_offset_s)))
        .ok()
        .and_then(|t| t.format(SECONDS).ok())
        .unwrap_or_default()
}

/// Reads `YYYY-MM-DD HH:MM[:SS]`, or RFC 3339 (which has a zone of its own).
#[must_use]
pub fn read(s: &str, utc_offset_s: i32) -> Option<Timestamp> {
    let at = PrimitiveDateTime::parse(s, SECONDS)
        .or_else(|_| PrimitiveDateTime::parse(s, MINUTES))
        .map(|t| t.assume_offset(offset(utc_offset_s)))
        .or_else(|_| OffsetDateTime::parse(s, &Rfc3339))
        .ok()?;
    Some(Timestamp(at.unix_timestamp().checked_mul(1_000_000)?))
}

fn offset(seconds: i32) -> UtcOffset {
    UtcOffset::from_whole_seconds(seconds).unwrap_or(UtcOffset::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let at = Timestamp(1_700_000_000_123_456);
        assert_eq!(text(at, 0), "2023-11-14 22:13:20");
        assert_eq!(text(at, 28_800), "2023-11-15 06:13:20");
        for zone in [0, 28_800, -3_600] {
            assert_eq!(read(&text(at, zone), zone), Some(Timestamp(1_700_000_000_000_000)));
        }
        assert_eq!(read("2023-11-14 22:13", 0), Some(Timestamp(1_699_999_980_000_000)));
        assert_eq!(read("2023-11-14T22:13:20Z", 28_800), Some(Timestamp(1_700_000_000_000_000)));
        for bad in ["", "now", "2023-13-01 00:00:00", "2023-11-14", "1700000000"] {
            assert_eq!(read(bad, 0), None, "{bad}");
        }
    }
}
