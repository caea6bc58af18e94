//! Dates on the wire: seconds since the epoch to and from the three spellings that S3 servers use.
//!
//! By hand because a listing has a date per key and a request has one per signature; the proleptic
//! Gregorian arithmetic is a dozen lines.

/// A date and time of day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
}

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// Breaks seconds since the epoch into a date.
pub(crate) fn from_seconds(seconds: i64) -> Civil {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let small = |v: i64| u8::try_from(v).unwrap_or(0);
    Civil {
        year: yoe + era * 400 + i64::from(month <= 2),
        month: small(month),
        day: small(doy - (153 * mp + 2) / 5 + 1),
        hour: small(rest / 3600),
        minute: small(rest / 60 % 60),
        second: small(rest % 60),
    }
}

fn number(b: &[u8]) -> Option<i64> {
    if b.is_empty() || b.len() > 9 {
        return None;
    }
    b.iter().try_fold(0_i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
}

fn seconds(date: (i64, i64, i64), clock: &[u8]) -> Option<i64> {
    let (year, month, day) = date;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let (h, m, s) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && h < 24 && m < 60 && s <= 60;
    fits.then(|| days_from_civil(year, month, day) * 86_400 + h * 3600 + m * 60 + s)
}

/// The seconds since the epoch of a date that exists.
pub(crate) fn to_seconds(c: Civil) -> Option<i64> {
    let fits = c.hour < 24 && c.minute < 60 && c.second < 60;
    let clock = i64::from(c.hour) * 3600 + i64::from(c.minute) * 60 + i64::from(c.second);
    let at = days_from_civil(c.year, i64::from(c.month), i64::from(c.day)) * 86_400 + clock;
    (fits && from_seconds(at) == c).then_some(at)
}

/// `2026-11-22T10:11:12Z`, with an optional fraction and an optional `+hh:mm`; ns since the epoch.
pub(crate) fn parse_iso(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    if b.len() < 20 || b[4] != b'-' || b[7] != b'-' || !matches!(b[10], b'T' | b' ') {
        return None;
    }
    let date = (number(&b[..4])?, number(&b[5..7])?, number(&b[8..10])?);
    let mut at = seconds(date, &b[11..19])?;
    let mut rest = &b[19..];
    let mut nanos = 0;
    if let [b'.', tail @ ..] = rest {
        let n = tail.iter().take_while(|d| d.is_ascii_digit()).count();
        let used = n.min(9);
        nanos = number(&tail[..used])? * 10_i64.pow(9 - u32::try_from(used).ok()?);
        rest = &tail[n..];
    }
    match rest {
        [b'Z' | b'z'] => {}
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let off = number(&[*h1, *h2])? * 3600 + number(&[*m1, *m2])? * 60;
            at += if *sign == b'+' { -off } else { off };
        }
        _ => return None,
    }
    at.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// `Sun, 22 Nov 2026 13:08:24 GMT` (a `Last-Modified` header); ns since the epoch.
pub(crate) fn parse_http(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    if b.len() != 29 || &b[26..] != b"GMT" {
        return None;
    }
    let month = MONTHS.iter().position(|m| m[..] == b[8..11])?;
    let date = (number(&b[12..16])?, i64::try_from(month).ok()? + 1, number(&b[5..7])?);
    seconds(date, &b[17..25])?.checked_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings_agree() {
        let at = 1_795_352_904;
        let c = from_seconds(at);
        assert_eq!((c.year, c.month, c.day, c.hour, c.minute, c.second), (2026, 11, 22, 13, 8, 24));
        assert_eq!(parse_iso("2026-11-22T13:08:24Z"), Some(at * 1_000_000_000));
        assert_eq!(parse_iso("2026-11-22T13:08:24.5Z"), Some(at * 1_000_000_000 + 500_000_000));
        assert_eq!(parse_iso("2026-11-22T15:08:24.000000001+02:00"), Some(at * 1_000_000_000 + 1));
        assert_eq!(parse_http("Sun, 22 Nov 2026 13:08:24 GMT"), Some(at * 1_000_000_000));
        for bad in ["", "2026-11-22", "2026-13-22T13:08:24Z", "2026-11-22T13:08:24", "x026-11-22T13:08:24Z"] {
            assert_eq!(parse_iso(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_date_survives(at in -62_000_000_000_i64..250_000_000_000) {
            let c = from_seconds(at);
            let days = days_from_civil(c.year, i64::from(c.month), i64::from(c.day));
            let clock = i64::from(c.hour) * 3600 + i64::from(c.minute) * 60 + i64::from(c.second);
            proptest::prop_assert_eq!(days * 86_400 + clock, at);
        }

        #[test]
        fn nonsense_is_refused_quietly(s in "\\PC{0,40}") {
            let _ = (parse_iso(&s), parse_http(&s));
        }
    }
}
