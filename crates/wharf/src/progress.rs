//! Progress bars.

use std::time::Duration;

use engine::transfer::Snapshot;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::words;

/// A bar on standard error; drawn only on a terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar, or a silent one.
    pub fn new(silent: bool) -> Self {
        let target =
            if silent { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(5) };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{prefix}{bar:28} {percent:>3}% {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// Text before the bar.
    pub fn name(&self, name: &str) {
        self.0.set_prefix(format!("{name:<28} "));
    }

    /// Shows a local run.
    pub fn show(&self, s: &Snapshot) {
        self.position(s.items_done(), s.items_found, s.bytes_settled, s.bytes_found, s.scan_done);
    }

    /// Shows counts.
    pub fn position(&self, items: u64, items_found: u64, bytes: u64, bytes_found: u64, scan_done: bool) {
        // Small items count too: a bar of bytes alone would stand still over a million empty files.
        const ITEM: u64 = 64 << 10;
        self.0.set_length(bytes_found.saturating_add(items_found.saturating_mul(ITEM)).max(1));
        self.0.set_position(bytes.saturating_add(items.saturating_mul(ITEM)));
        let more = if scan_done { "" } else { "+" };
        self.0.set_message(format!(
            "{}/{}{more} items  {}/{}{more}",
            words::count(items),
            words::count(items_found),
            words::size(bytes),
            words::size(bytes_found)
        ));
    }

    /// Shows the end of a local run and goes.
    pub fn finish(&self, s: &Snapshot) {
        self.show(s);
        self.0.finish_and_clear();
    }

    /// Leaves the bar as it is and goes to the next line.
    pub fn leave(&self) {
        self.0.abandon();
    }

    /// How often it makes sense to look.
    pub const EVERY: Duration = Duration::from_millis(200);
}
