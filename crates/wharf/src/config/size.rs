//! Sizes as people write them: `64MiB`, `1.5 GB`, `4096`.

/// Bytes of a size such as `64MiB`, `200 kB`, `1g`, `4096`. Letters without `i` and `b` count in 1024s
/// (`64M` = `64MiB`), `kB`/`MB`/`GB`/`TB` in 1000s.
///
/// # Errors
/// What is wrong with it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is not a size (try `64MiB`)"))?;
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1_048_576.0,
        "g" | "gib" => 1_073_741_824.0,
        "t" | "tib" => 1_099_511_627_776.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        other => return Err(format!("`{other}` is not a unit of size (B, KiB, MiB, GiB, kB, MB, GB)")),
    };
    let bytes = number * factor;
    if !(0.0..=9e18).contains(&bytes) {
        return Err(format!("`{text}` is out of range"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(bytes as u64)
}

/// How old something must be; `never` is an age that nothing reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Option<u64>);

/// Reads `45s`, `30m`, `12h`, `7d` or `never`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_age(text: &str) -> Result<Age, String> {
    let text = text.trim();
    if text == "never" {
        return Ok(Age(None));
    }
    let wrong = || format!("`{text}` is not an age (try `7d`, `12h`, `30m`, `45s` or `never`)");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u32 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    Ok(Age(Some(u64::from(number) * factor)))
}

#[cfg(test)]
mod tests {
    use super::{Age, parse_age, parse_size};

    #[test]
    fn ages() {
        assert_eq!(parse_age("7d"), Ok(Age(Some(604_800))));
        assert_eq!((parse_age("0s"), parse_age("never")), (Ok(Age(Some(0))), Ok(Age(None))));
        for bad in ["", "7", "d", "-1d", "7w", "1.5h"] {
            assert!(parse_age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("1.5 GB"), Ok(1_500_000_000));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("2k"), Ok(2048));
        assert!(parse_size("").is_err() && parse_size("MiB").is_err() && parse_size("1x").is_err());
    }
}
