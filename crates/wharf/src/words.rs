//! What the command line prints: lines, tables, sizes.

use std::io::Write as _;

use api_admin::wire::{LedgerView, TallyView};

/// Prints a line to standard output; a closed pipe is no error.
macro_rules! say {
    ($($arg:tt)*) => { $crate::words::out(format_args!($($arg)*)) };
}

/// Prints a line to standard error.
macro_rules! complain {
    ($($arg:tt)*) => { $crate::words::err(format_args!($($arg)*)) };
}

/// See `say!`.
pub fn out(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// See `complain!`.
pub fn err(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `1.4 GiB`
#[allow(clippy::cast_precision_loss, reason = "for people")]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `12,345`
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A table without box drawing, as `ps` has it.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut t = comfy_table::Table::new();
    t.load_style(comfy_table::presets::NOTHING);
    t.set_header(header.iter().copied());
    for row in rows {
        t.add_row(row);
    }
    t.to_string().lines().map(|l| l.trim_end()).collect::<Vec<_>>().join("\n")
}

/// A ledger as a small table.
pub fn ledger(l: &LedgerView) -> String {
    let row = |name: &str, t: &TallyView, show: fn(u64) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(
            [t.read, t.written, t.unchanged, t.skipped + t.filtered, t.failed + t.dead_lettered].map(show),
        );
        cells
    };
    let table = table(
        &["", "read", "= written", "+ unchanged", "+ skipped", "+ failed"],
        vec![row("items", &l.items, count), row("bytes", &l.bytes, count)],
    );
    format!("{table}\n{}", if l.balanced { "balanced" } else { "NOT BALANCED" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
    }
}
