//! Time zones with a fixed offset: `GMT+8`, `UTC+08:00`, `+0800`, and the names of zones that have no summer time.
//!
//! There is no zone database here. A name whose offset changes over the year is refused with a reason, since a wrong
//! hour is worse than a refusal.

/// Zones without summer time, and their minutes east of Greenwich.
const NAMES: [(&str, i32); 32] = [
    ("Africa/Johannesburg", 120),
    ("Africa/Lagos", 60),
    ("Africa/Nairobi", 180),
    ("America/Argentina/Buenos_Aires", -180),
    ("America/Bogota", -300),
    ("America/Phoenix", -420),
    ("America/Sao_Paulo", -180),
    ("Asia/Bangkok", 420),
    ("Asia/Chongqing", 480),
    ("Asia/Dhaka", 360),
    ("Asia/Dubai", 240),
    ("Asia/Ho_Chi_Minh", 420),
    ("Asia/Hong_Kong", 480),
    ("Asia/Jakarta", 420),
    ("Asia/Karachi", 300),
    ("Asia/Kolkata", 330),
    ("Asia/Kuala_Lumpur", 480),
    ("Asia/Macau", 480),
    ("Asia/Manila", 480),
    ("Asia/Riyadh", 180),
    ("Asia/Seoul", 540),
    ("Asia/Shanghai", 480),
    ("Asia/Singapore", 480),
    ("Asia/Taipei", 480),
    ("Asia/Tokyo", 540),
    ("Asia/Yangon", 390),
    ("Australia/Brisbane", 600),
    ("CTT", 480),
    ("Europe/Istanbul", 180),
    ("Europe/Moscow", 180),
    ("JST", 540),
    ("PRC", 480),
];

/// Seconds east of Greenwich.
///
/// # Errors
/// Why the zone can't be used.
pub fn offset(zone: &str) -> Result<i32, String> {
    let zone = zone.trim();
    if let Some((_, minutes)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(zone)) {
        return Ok(minutes * 60);
    }
    // In these names the sign is turned round: Etc/GMT-8 lies east.
    if let Some(rest) = zone.strip_prefix("Etc/GMT").filter(|rest| !rest.is_empty()) {
        return signed(rest).map(|seconds| -seconds).ok_or_else(|| unknown(zone));
    }
    let upper = zone.to_ascii_uppercase();
    let rest = upper.strip_prefix("ETC/").unwrap_or(&upper);
    let rest = ["GMT", "UTC", "UT"].iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    match rest {
        "" if !zone.is_empty() => Ok(0),
        "Z" | "ZULU" => Ok(0),
        rest => signed(rest).ok_or_else(|| unknown(zone)),
    }
}

fn unknown(zone: &str) -> String {
    format!("the time zone {zone:?} is no fixed offset (such as GMT+8) and no known name without summer time")
}

/// `+8`, `+08`, `+0830`, `+8:30`
pub fn signed(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let number = |text: &str, most: i32| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i32>().ok().filter(|n| plain && *n <= most)
    };
    Some(sign * (number(hours, 18)? * 3600 + number(minutes, 59)? * 60))
}

#[cfg(test)]
mod tests {
    use super::offset;

    #[test]
    fn fixed_offsets_are_read_and_others_refused() {
        for (zone, hours) in [
            ("GMT+8", 8.0),
            ("GMT+08:00", 8.0),
            ("UTC-3:30", -3.5),
            ("+0530", 5.5),
            ("-08", -8.0),
            ("GMT", 0.0),
            ("utc", 0.0),
            ("Z", 0.0),
            ("Etc/UTC", 0.0),
            ("Etc/GMT-8", 8.0),
            ("Asia/Shanghai", 8.0),
            ("asia/kolkata", 5.5),
        ] {
            assert_eq!(offset(zone), Ok((hours * 3600.0) as i32), "{zone}");
        }
        for zone in
            ["", "Europe/Berlin", "GMT+", "GMT+25", "GMT+8:5", "GMT+8:60", "+123456", "CET", "GMT 8", "é"]
        {
            assert!(offset(zone).is_err(), "{zone}");
        }
    }
}
