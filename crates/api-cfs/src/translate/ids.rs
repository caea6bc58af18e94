//! Forms of identifiers and names, and new ones.

use runtime::Random;

/// Characters of a data flow's name at most.
pub const MAX_FLOW_NAME: usize = 64;
/// Characters of a task's name at most (the product states none; ours).
pub const MAX_TASK_NAME: usize = 128;

/// `cfs-` and 1 to 60 letters, digits or hyphens.
#[must_use]
pub fn is_file_system_id(s: &str) -> bool {
    s.strip_prefix("cfs-").is_some_and(|rest| (1..=60).contains(&rest.len()) && is_word(rest))
}

/// `cfs-dataflow-` and 8 hexadecimal digits.
#[must_use]
pub fn is_flow_id(s: &str) -> bool {
    s.strip_prefix("cfs-dataflow-").is_some_and(|rest| rest.len() == 8 && is_hex(rest))
}

/// `task-` and 16 hexadecimal digits.
#[must_use]
pub fn is_lifecycle_id(s: &str) -> bool {
    s.strip_prefix("task-").is_some_and(|rest| rest.len() == 16 && is_hex(rest))
}

/// A new flow's identifier.
#[must_use]
pub fn new_flow_id(random: &Random) -> String {
    format!("cfs-dataflow-{}", random.hex(8))
}

/// A new lifecycle task's identifier. Longer than a flow's: there are many more tasks.
#[must_use]
pub fn new_lifecycle_id(random: &Random) -> String {
    format!("task-{}", random.hex(16))
}

/// A new migration task's identifier.
#[must_use]
pub fn new_migration_id(random: &Random) -> String {
    format!("cfsmigrate-{}", random.hex(8))
}

/// At most 64 Chinese characters, letters, digits, `_` and `-`.
#[must_use]
pub fn is_flow_name(s: &str) -> bool {
    s.chars().count() <= MAX_FLOW_NAME
        && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-' || is_han(c))
}

/// Not empty, at most 128 characters, none of them a control character.
#[must_use]
pub fn is_task_name(s: &str) -> bool {
    !s.is_empty() && s.chars().count() <= MAX_TASK_NAME && !s.chars().any(char::is_control)
}

fn is_word(s: &str) -> bool {
    s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_hex(s: &str) -> bool {
    s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The blocks of Chinese characters.
fn is_han(c: char) -> bool {
    matches!(c,
        '\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{2fa1f}' | '\u{30000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for good in ["cfs-44d53b63e", "cfs-a", "cfs-demo-1"] {
            assert!(is_file_system_id(good), "{good}");
        }
        for bad in ["", "cfs-", "cpfs-1", "cfs-a/b", "cfs-a b", "cfs-\u{e9}", "CFS-1"] {
            assert!(!is_file_system_id(bad), "{bad}");
        }
        assert!(is_flow_id("cfs-dataflow-4f827203"));
        for bad in ["cfs-dataflow-4f82720", "cfs-dataflow-4F827203", "dataflow-4f827203", ""] {
            assert!(!is_flow_id(bad), "{bad}");
        }
    }

    #[test]
    fn new_identifiers_have_their_form() {
        let r = Random::system();
        assert!(is_flow_id(&new_flow_id(&r)));
        assert!(is_lifecycle_id(&new_lifecycle_id(&r)));
        let migration = new_migration_id(&r);
        assert!(migration.strip_prefix("cfsmigrate-").is_some_and(|rest| rest.len() == 8 && is_hex(rest)));
    }

    #[test]
    fn names() {
        for good in ["", "abctest", "a_b-C9", "\u{6570}\u{636e}\u{6d41}\u{52a8}_1"] {
            assert!(is_flow_name(good), "{good}");
        }
        assert!(is_flow_name(&"\u{6570}".repeat(64)));
        assert!(!is_flow_name(&"\u{6570}".repeat(65)));
        for bad in ["a b", "a.b", "a/b", "\u{e9}", "a\n"] {
            assert!(!is_flow_name(bad), "{bad}");
        }
        assert!(is_task_name("nightly archive") && !is_task_name("") && !is_task_name("a\u{0}"));
    }
}
