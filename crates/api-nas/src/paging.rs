//! Pages of a listing: `MaxResults` and an opaque `NextToken`.
//!
//! A token holds where the next page begins, and until when the listing looks: what is made after the
//! first page does not shift the later ones. It is bound to caller, action and conditions, so a token of
//! another query is refused rather than answered with a wrong page. It grants nothing, so it is not signed.

use api::{Fault, encode};
use serde_json::Value;

use crate::fault;
use crate::request::Request;

/// Results of a page when the request names no number.
const DEFAULT: u64 = 20;
/// Results of a page at most.
const MOST: u64 = 100;

/// One page of one query.
#[derive(Debug, Clone)]
pub struct Paging {
    /// Results wanted.
    pub limit: u64,
    /// Results before this page.
    pub offset: u64,
    /// Things made later than this (µs) are not shown; 0 on the first page.
    pub until: i64,
    binding: String,
}

impl Paging {
    /// Reads `MaxResults` (`least`–100, default 20) and `NextToken`.
    ///
    /// # Errors
    /// A number outside the range; a token that is not of this query.
    pub fn read(r: &Request<'_>, least: u64) -> Result<Self, Fault> {
        let limit = match r.p.i64("MaxResults") {
            None => DEFAULT,
            Some(n) => match u64::try_from(n) {
                Ok(n) if (least..=MOST).contains(&n) => n,
                _ => return Err(fault::invalid("MaxResults", format_args!("it must be {least} to {MOST}"))),
            },
        };
        let binding = binding(r);
        let mut page = Self { limit, offset: 0, until: 0, binding };
        if let Some(token) = r.p.str("NextToken").filter(|t| !t.is_empty()) {
            (page.offset, page.until) = page.open(token).ok_or_else(fault::bad_next_token)?;
        }
        Ok(page)
    }

    /// The token after this page, or empty when it was the last: `returned` results of `total`.
    #[must_use]
    pub fn next(&self, returned: u64, total: u64, until: i64) -> String {
        let offset = self.offset.saturating_add(returned);
        if returned == 0 || offset >= total { String::new() } else { self.seal(offset, until) }
    }

    /// Cuts this page out of a whole list.
    pub fn cut<T>(&self, all: Vec<T>) -> (Vec<T>, String) {
        let total = all.len() as u64;
        let (skip, take) = (size(self.offset), size(self.limit));
        let page: Vec<T> = all.into_iter().skip(skip).take(take).collect();
        let token = self.next(page.len() as u64, total, 0);
        (page, token)
    }

    fn seal(&self, offset: u64, until: i64) -> String {
        format!("{offset:08x}{until:016x}{}", self.check(offset, until))
    }

    fn open(&self, token: &str) -> Option<(u64, i64)> {
        if token.len() != 40 || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let offset = u64::from_str_radix(token.get(..8)?, 16).ok()?;
        let until = i64::from_str_radix(token.get(8..24)?, 16).ok()?;
        (token.get(24..)? == self.check(offset, until)).then_some((offset, until))
    }

    fn check(&self, offset: u64, until: i64) -> String {
        let mut digest = encode::sha256_hex(format!("{}\n{offset}\n{until}", self.binding).as_bytes());
        digest.truncate(16);
        digest
    }
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn binding(r: &Request<'_>) -> String {
    let mut conditions = r.call.params.clone();
    if let Value::Object(fields) = &mut conditions {
        fields.retain(|name, _| name != "MaxResults" && name != "NextToken");
    }
    format!("{}\n{}\n{conditions}", r.call.caller.account, r.call.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paging(binding: &str) -> Paging {
        Paging { limit: 10, offset: 0, until: 0, binding: binding.to_owned() }
    }

    #[test]
    fn a_token_reads_back_only_for_its_own_query() {
        let token = paging("q").next(10, 25, 1_795_343_052_000_000);
        assert_eq!(paging("q").open(&token), Some((10, 1_795_343_052_000_000)));
        assert_eq!(paging("other").open(&token), None);
        for bad in ["", "x", "0", &token.replace('0', "1"), &format!("{token}0"), "ééééééééééééééééééééé"]
        {
            assert_eq!(paging("q").open(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_last_page_has_no_token() {
        assert_eq!(paging("q").next(5, 5, 0), "");
        assert_eq!(paging("q").next(0, 5, 0), "");
        let (page, token) = paging("q").cut((0..25).collect());
        assert_eq!((page.len(), token.is_empty()), (10, false));
    }
}
