//! `[dis]`: the DIS door and its dump tasks.

use super::reader::Section;

/// `[dis]`
#[derive(Debug, Clone, Default)]
pub struct Dis {
    /// Hold everybody to the product's rates, quotas and pauses.
    pub product_limits: bool,
    /// The connection of the Iceberg catalogue that DLI's tables are in; `None` = the server's own.
    pub dli_catalogue: Option<String>,
    /// Rows are staged in the task's bucket.
    pub dli_staging: bool,
    /// New fields become columns of DLI's tables, and types grow.
    pub dli_evolve: bool,
    /// Agencies that dump tasks may name; empty = any.
    pub agencies: Vec<String>,
    /// Minutes east of UTC of the directories' and file names' times.
    pub dump_utc_minutes: Option<i32>,
    /// Milliseconds, in place of what tasks ask for. For tests.
    pub dump_interval_ms: Option<u64>,
}

/// Reads the section.
pub fn read(s: &mut Section<'_, '_, '_>) -> Dis {
    let dump_utc_minutes = s.text("dump_utc_offset").and_then(|text| {
        let minutes = utc_minutes(&text);
        if minutes.is_none() {
            s.problem("dump_utc_offset", "must be like +08:00, from -12:00 to +14:00");
        }
        minutes
    });
    Dis {
        product_limits: s.boolean("product_limits").unwrap_or(false),
        dli_catalogue: s.text("dli_catalogue"),
        dli_staging: s.boolean("dli_staging").unwrap_or(false),
        dli_evolve: s.boolean("dli_evolve").unwrap_or(false),
        agencies: s.texts("agencies"),
        dump_utc_minutes,
        dump_interval_ms: s.integer("dump_interval_ms", 100..=900_000),
    }
}

fn utc_minutes(text: &str) -> Option<i32> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |t: &str| (t.len() == 2).then(|| t.parse::<u16>().ok()).flatten().map(i32::from);
    let all = sign * (number(hours)? * 60 + number(minutes).filter(|m| *m < 60)?);
    (-720..=840).contains(&all).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_utc_are_read() {
        for (text, want) in
            [("+08:00", Some(480)), ("-03:30", Some(-210)), ("+00:00", Some(0)), ("+14:00", Some(840))]
        {
            assert_eq!(utc_minutes(text), want);
        }
        for bad in ["", "8", "08:00", "+8:00", "+08:60", "+15:00", "-13:00", "+aa:bb", "+é:00"] {
            assert_eq!(utc_minutes(bad), None, "{bad}");
        }
    }
}
