//! Patterns both ways, and the choices between readings.

use super::{Date, Target};
use crate::value::Val;

fn date(pattern: &str, target: Target, zone: &str, text: &str, number: bool) -> Result<String, String> {
    let offset = crate::operate::zone::offset(zone)?;
    let done = Date::new(pattern, target, offset)?.apply(text, number).map_err(|e| e.to_string())?;
    assert_eq!(matches!(done, Val::Number(_)), target == Target::Unix);
    Ok(done.into_text().into_owned())
}

#[test]
fn a_text_becomes_unix_time() {
    for (pattern, zone, text, unix) in [
        ("yyyy-MM-dd HH:mm:ss", "GMT+8", "2024-01-01 00:00:00", "1704038400"),
        ("yyyy-MM-dd HH:mm:ss", "UTC", "2024-01-01 00:00:00", "1704067200"),
        ("yyyy-MM-dd HH:mm:ss.SSS", "UTC", "2024-01-01 00:00:00.250", "1704067200250"),
        ("yyyyMMddHHmmss", "UTC", "20240101000000", "1704067200"),
        ("dd/MMM/yyyy:HH:mm:ss Z", "UTC", "01/Jan/2024:08:00:00 +0800", "1704067200"),
        ("EEE, d MMM yyyy hh:mm a", "UTC", "Mon, 1 January 2024 12:00 am", "1704067200"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "GMT+8", "2024-01-01T00:00:00Z", "1704067200"),
        ("yy-D", "UTC", "24-1", "1704067200"),
        ("yyyy-MM-dd HH:mm:ss", "GMT+8", "2022-02-26T22:25:33.210Z", "1645914333"),
        ("yyyy-MM-dd", "GMT+8", "2024-01-01T00:00", "1704038400"),
        ("yyyy-MM-dd", "GMT+8", "1704067200", "1704067200"),
        ("yyyy-MM-dd", "GMT+8", "1704067200999", "1704067200"),
    ] {
        assert_eq!(date(pattern, Target::Unix, zone, text, false).as_deref(), Ok(unix), "{pattern} {text}");
    }
}

#[test]
fn unix_time_becomes_a_text() {
    for (pattern, zone, number, text) in [
        ("yyyy-MM-dd HH:mm:ss", "GMT+8", "1704038400", "2024-01-01 00:00:00"),
        ("yyyy-MM-dd HH:mm:ss", "GMT+8", "1704038400999", "2024-01-01 00:00:00"),
        ("HH:mm:ss.SSSSSS", "UTC", "1704038400.5", "16:00:00.500000"),
        ("HH:mm:ss.SSS", "UTC", "1704038400123.9", "16:00:00.123"),
        ("yyyy/M/d h:mm a z", "GMT+8", "0", "1970/1/1 8:00 AM GMT+08:00"),
        (
            "EEEE dd MMMM yy KK kk Z X XX XXX",
            "GMT-3:30",
            "0",
            "Wednesday 31 December 69 08 20 -0330 -03 -0330 -03:30",
        ),
        ("X z 'at' ''", "UTC", "-1", "Z GMT at '"),
    ] {
        assert_eq!(
            date(pattern, Target::String, zone, number, true).as_deref(),
            Ok(text),
            "{pattern} {number}"
        );
    }
}

#[test]
fn what_is_no_time_fails() {
    for (pattern, text) in [
        ("yyyy-MM-dd", "2024-13-01"),
        ("yyyy-MM-dd", "2023-02-29"),
        ("yyyy-MM-dd", "2024-01-01x"),
        ("HH:mm", "24:00"),
        ("HH:mm", ""),
        ("HH:mm", "1e9"),
        ("HH:mm", "99999999999999999999"),
        ("HH:mm", "999999999999999999"),
        ("hh:mm a", "13:00 PM"),
        ("HH:mm", "é:é"),
        ("SSS", "é"),
        ("MMM", "éa"),
        ("a", "é"),
    ] {
        assert!(date(pattern, Target::Unix, "UTC", text, false).is_err(), "{pattern} {text}");
    }
    for pattern in ["", "yyyy-MM-ddTHH:mm", "'open", "G", "w", "SSSSSSSSSS", "XXXX"] {
        assert!(date(pattern, Target::Unix, "UTC", "0", true).is_err(), "{pattern}");
    }
    assert!(date(&"y".repeat(200), Target::Unix, "UTC", "0", true).is_err());
}
