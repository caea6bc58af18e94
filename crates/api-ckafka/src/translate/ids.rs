//! Forms of names, and the identifiers of messages.

use control::Produced;

/// Characters of a task's name at most.
const MAX_TASK_NAME: usize = 64;
/// Characters of a topic's name at most.
const MAX_TOPIC_NAME: usize = 128;

/// A name of 64 characters at most. The product's specification wants a letter and then letters, digits, `-`, `.` and `_`; its
/// own samples have Chinese names, so other letters are taken too, also in front.
#[must_use]
pub fn is_name(s: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    s.chars().next().is_some_and(char::is_alphabetic)
        && s.chars().count() <= MAX_TASK_NAME
        && s.chars().all(word)
}

/// `<AppId>-` and letters, digits or hyphens, 128 characters at most.
#[must_use]
pub fn is_topic_name(s: &str, app_id: &str) -> bool {
    let rest = s.strip_prefix(app_id).and_then(|rest| rest.strip_prefix('-'));
    s.len() <= MAX_TOPIC_NAME
        && !app_id.is_empty()
        && rest.is_some_and(|r| !r.is_empty() && r.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

/// The product's identifier of a message: `<datahub id>:<topic>:<partition>:<offset>` in hexadecimal.
#[must_use]
pub fn message(datahub: &str, at: &Produced) -> String {
    use std::fmt::Write as _;
    let plain = format!("{datahub}:{}:{}:{}", at.topic, at.partition, at.offset);
    plain.bytes().fold(String::with_capacity(plain.len() * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["MyTaskName", "a", "a-b.c_9", "task测试", "任务"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "1a", "-a", "a b", "a/b", "a\n", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(is_name(&"a".repeat(64)));
        assert!(is_topic_name("1250000000-in", "1250000000"));
        for bad in ["1250000000", "1250000000-", "1250000001-in", "1250000000-a_b", "in"] {
            assert!(!is_topic_name(bad, "1250000000"), "{bad}");
        }
        assert!(!is_topic_name(&format!("1-{}", "a".repeat(127)), "1") && !is_topic_name("-a", ""));
    }

    #[test]
    fn the_products_sample_of_a_message_id() {
        let at = Produced { topic: "describeCloudApi".into(), partition: 4, offset: 26_188 };
        let id = message("datahub-meuh9nhn", &at);
        assert!(id.starts_with("646174616875622d6d657568396e686e3a"), "{id}");
        assert!(id.ends_with("3a343a3236313838"), "{id}");
    }
}
