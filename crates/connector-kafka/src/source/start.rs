//! Where splits begin.

use std::collections::HashMap;

use connector::records::Split;
use connector::{Error, ErrorKind, Result};

use super::ANSWER;
use crate::fault::during;
use crate::options::Start;
use crate::raw::{Client, Code, Fault, List};

const END: i64 = -1;
const BEGINNING: i64 = -2;

/// The offset of each split, and whether it is by the options' rule: there was no position and nothing committed.
pub(super) fn places(
    client: &Client,
    splits: &[(Split, Option<i64>)],
    rule: Start,
) -> Result<Vec<(Split, i64, bool)>> {
    let unknown: Vec<&Split> = splits.iter().filter(|(_, at)| at.is_none()).map(|(s, _)| s).collect();
    let committed = committed(client, &unknown)?;
    let new: Vec<&Split> = unknown.iter().copied().filter(|s| !committed.contains_key(*s)).collect();
    let ruled = by_rule(client, &new, rule)?;
    splits
        .iter()
        .map(|(split, at)| match at.or_else(|| committed.get(split).copied()) {
            Some(at) => Ok((split.clone(), at, false)),
            None => {
                let found = ruled.get(split).copied();
                let at = found.ok_or_else(|| {
                    Error::new(ErrorKind::Unavailable, format!("no offset of {split} came"))
                })?;
                Ok((split.clone(), at, true))
            }
        })
        .collect()
}

fn committed(client: &Client, splits: &[&Split]) -> Result<HashMap<Split, i64>> {
    let doing = during("committed offsets can't be read");
    if splits.is_empty() {
        return Ok(HashMap::new());
    }
    let list = list(splits, 0).map_err(&doing)?;
    client.committed(&list, ANSWER).map_err(&doing)?;
    let mut found = HashMap::new();
    for place in list.places() {
        if place.code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(doing(Fault::of(place.code)));
        }
        if place.offset >= 0 {
            found.insert(Split::new(&place.topic, place.partition), place.offset);
        }
    }
    Ok(found)
}

fn by_rule(client: &Client, splits: &[&Split], rule: Start) -> Result<HashMap<Split, i64>> {
    let spec = match rule {
        Start::Earliest => BEGINNING,
        Start::Latest => END,
        Start::Timestamp { timestamp_ms } => timestamp_ms,
    };
    let mut found = offsets(client, splits, spec)?;
    // Nothing of that time or later: what comes from now on.
    let none: Vec<&Split> =
        splits.iter().copied().filter(|s| found.get(*s).is_some_and(|o| *o < 0)).collect();
    if !none.is_empty() {
        found.extend(offsets(client, &none, END)?);
    }
    Ok(found)
}

fn offsets(client: &Client, splits: &[&Split], spec: i64) -> Result<HashMap<Split, i64>> {
    let doing = during("offsets can't be listed");
    let list = list(splits, spec).map_err(&doing)?;
    let mut found = HashMap::new();
    for place in client.list_offsets(&list, true, ANSWER).map_err(&doing)? {
        if place.code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(doing(Fault::of(place.code)));
        }
        found.insert(Split::new(&place.topic, place.partition), place.offset);
    }
    Ok(found)
}

fn list(splits: &[&Split], offset: i64) -> Result<List, Fault> {
    let mut list = List::new(splits.len());
    for split in splits {
        list.add(&split.topic, split.partition, offset, None)?;
    }
    Ok(list)
}
