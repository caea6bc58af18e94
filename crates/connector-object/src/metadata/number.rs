//! Numbers as the dialects spell them.

const SECOND: i64 = 1_000_000_000;

/// ns as `seconds.nanoseconds`, negative times too.
pub(super) fn float_seconds(ns: i64) -> String {
    let (sign, abs) = if ns < 0 { ("-", ns.unsigned_abs()) } else { ("", ns.unsigned_abs()) };
    format!("{sign}{}.{:09}", abs / SECOND.unsigned_abs(), abs % SECOND.unsigned_abs())
}

/// Reads [`float_seconds`] exactly (no floating point), with or without a fraction.
pub(super) fn seconds_ns(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(t) => (true, t),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut ns: i64 = 0;
    for i in 0..9 {
        ns = ns * 10 + i64::from(fraction.as_bytes().get(i).map_or(0, |b| b - b'0'));
    }
    let whole: i64 = whole.parse().ok()?;
    // The most negative time is one further from zero than the most positive.
    let total = i128::from(whole) * i128::from(SECOND) + i128::from(ns);
    i64::try_from(if negative { -total } else { total }).ok()
}

/// A time in s, ms, µs or ns, by its size: each step is a factor of a thousand, and the times that
/// files have are all within one such step.
pub(super) fn guess_unit(text: &str) -> Option<i64> {
    if text.contains('.') {
        return seconds_ns(text);
    }
    let n: i64 = text.parse().ok()?;
    match n.unsigned_abs() {
        0..100_000_000_000 => n.checked_mul(SECOND),
        100_000_000_000..100_000_000_000_000 => n.checked_mul(1_000_000),
        100_000_000_000_000..100_000_000_000_000_000 => n.checked_mul(1000),
        _ => Some(n),
    }
}

/// `st_mode` in octal (rclone) or decimal (FUSE clients): octal if that gives a file, directory or link.
/// The one number that people really meet and that reads both ways is a link's decimal 0120777.
pub(super) fn mode_digits(text: &str) -> Option<u32> {
    const LINK: &str = "41471";
    let plausible = |m: &u32| matches!(m >> 12, 0 | 0o4 | 0o10 | 0o12);
    let octal = u32::from_str_radix(text, 8).ok().filter(|m| plausible(m) && text != LINK);
    octal.or_else(|| text.parse().ok().filter(plausible))
}
