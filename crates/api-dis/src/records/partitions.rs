//! How partitions are named: `shardId-0000000000`, or only `0`.

use crate::fault;
use api::Fault;

/// The product's name of a partition.
#[must_use]
pub fn name(index: u32) -> String {
    format!("shardId-{index:010}")
}

/// The number in a name.
///
/// # Errors
/// `DIS.4201` for what names no partition.
pub fn number(given: &str) -> Result<u32, Fault> {
    parse(given).ok_or_else(|| fault::partition_id(given))
}

/// The same, without words.
#[must_use]
pub fn parse(given: &str) -> Option<u32> {
    let digits = given.strip_prefix("shardId-").unwrap_or(given);
    let plain = (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_lead_to_the_number() {
        for n in [0, 7, 12_345, u32::MAX] {
            assert_eq!((parse(&name(n)), parse(&n.to_string())), (Some(n), Some(n)));
        }
        for bad in ["", "shardId-", "-1", "+1", "shardId-x", "shardId-00000000000", "4294967296", "shard-1"] {
            assert_eq!(parse(bad), None, "{bad}");
            assert_eq!(number(bad).unwrap_err().code, "DIS.4201");
        }
    }
}
