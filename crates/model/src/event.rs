//! What happened to a task, for people: a short list of dated lines, never one per file.
//!
//! Messages hold names and words from outside (keys, servers' answers, addresses). [`Event::new`] is the
//! only way to make one, and it cleans them: what would steer a terminal is escaped, addresses lose
//! passwords and query strings (a presigned address is a secret), and everything has a longest length.

use std::fmt::Write as _;

use crate::Timestamp;

/// Longest message of an event in bytes, before the note that tells of the cut.
pub const MAX_MESSAGE: usize = 1000;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It was made.
    Created,
    /// It waits for its turn.
    Queued,
    /// A worker took it.
    Started,
    /// A worker took it over from one that went silent (a crash).
    TakenOver,
    /// The source was listed to its end.
    Listed,
    /// A quarter, a half, three quarters of the items have an outcome.
    Progress,
    /// Calls failed in passing and were made again, after a while.
    Retry,
    /// An item could not be moved: one of the first few.
    ItemFailed,
    /// Somebody asked it to pause.
    PauseAsked,
    /// Somebody asked it to go on.
    ResumeAsked,
    /// Somebody asked it to stop for good.
    CancelAsked,
    /// It came to rest after a pause.
    Paused,
    /// It stopped for good.
    Canceled,
    /// It ended well.
    Completed,
    /// It ended badly.
    Failed,
}

impl EventKind {
    /// Stable name used in records and at the operator's door.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Queued => "queued",
            Self::Started => "started",
            Self::TakenOver => "taken-over",
            Self::Listed => "listed",
            Self::Progress => "progress",
            Self::Retry => "retry",
            Self::ItemFailed => "item-failed",
            Self::PauseAsked => "pause-asked",
            Self::ResumeAsked => "resume-asked",
            Self::CancelAsked => "cancel-asked",
            Self::Paused => "paused",
            Self::Canceled => "canceled",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// Something that happened, not yet dated and numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Kind.
    pub kind: EventKind,
    message: String,
}

impl Event {
    /// An event; its message is cleaned and cut.
    #[must_use]
    pub fn new(kind: EventKind, message: &str) -> Self {
        Self { kind, message: presentable(message, MAX_MESSAGE) }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// An event of a task as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEvent {
    /// Counts the task's events from 1, without gaps.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// Kind.
    pub kind: EventKind,
    /// Words.
    pub message: String,
}

/// Text from outside as it may be kept and shown: addresses without passwords and query strings, nothing
/// that steers a terminal, at most `max` bytes and a note that tells how many were cut.
#[must_use]
pub fn presentable(text: &str, max: usize) -> String {
    let text = without_url_secrets(text);
    let mut out = String::with_capacity(text.len().min(max + 32));
    for (i, c) in text.char_indices() {
        let before = out.len();
        if c.is_control() || is_invisible(c) {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
        if out.len() > max {
            out.truncate(before);
            let _ = write!(out, "… ({} bytes more)", text.len() - i);
            break;
        }
    }
    out
}

/// Characters that show as nothing or turn the direction of what follows.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn without_url_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(i) = rest.find("://") {
        let (scheme, after) = rest.split_at(i + 3);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        let (authority, path) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
        out.push_str(scheme);
        match authority.rfind('@') {
            Some(at) => {
                out.push('…');
                out.push_str(&authority[at..]);
            }
            None => out.push_str(authority),
        }
        let scheme = scheme.to_ascii_lowercase();
        let is_web = scheme.ends_with("http://") || scheme.ends_with("https://");
        match path.find('?').filter(|_| is_web) {
            Some(query) => {
                out.push_str(&path[..query]);
                out.push_str("?…");
            }
            None => out.push_str(path),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_steer_no_terminal_and_have_an_end() {
        let e = Event::new(EventKind::ItemFailed, "a\nb\x1b[2J\u{202e}txt.exe\u{7f}");
        assert_eq!(e.message(), "a\\u{a}b\\u{1b}[2J\\u{202e}txt.exe\\u{7f}");
        let long = "ж".repeat(10_000);
        let cut = presentable(&long, MAX_MESSAGE);
        assert!(cut.starts_with("жж") && cut.ends_with("… (19000 bytes more)"), "{cut}");
        assert!(presentable(&"\u{1}".repeat(10_000), 100).len() < 140);
        assert_eq!(presentable("plain words", 11), "plain words");
    }

    #[test]
    fn addresses_lose_what_is_secret_in_them() {
        for (text, want) in [
            ("HTTPS://h/k?X-Amz-Signature=hush: no", "HTTPS://h/k?… no"),
            ("\"https://me:hush@h:1/k?a=b\" and http://h?q=hush", "\"https://…@h:1/k?…\" and http://h?…"),
            ("postgres://u:hush@h/db", "postgres://…@h/db"),
            ("s3://bucket/what?.txt: gone", "s3://bucket/what?.txt: gone"),
            ("://", "://"),
            ("a://b://c@d?e", "a://b://c@d?e"),
        ] {
            assert_eq!(presentable(text, 500), want);
        }
    }
}
