//! How far the destination knows that it has come.

use std::collections::HashMap;

use connector::Result;
use connector::records::{Mark, Split};

use super::writer::{self, Keeping};
use super::{KafkaSink, NAMING, positions};
use crate::fault::during;
use crate::raw::{Code, Fault, List};
use crate::source::Group;

impl KafkaSink {
    pub(super) async fn read_committed(
        &mut self,
        known: &[(Split, Option<Mark>)],
    ) -> Result<Vec<Option<Mark>>> {
        self.fence().await?;
        let splits: Vec<Split> = known.iter().map(|(s, _)| s.clone()).collect();
        match &mut self.keeping {
            Keeping::Nowhere => Ok(vec![None; splits.len()]),
            Keeping::Group(group) => {
                let group = group.clone();
                let found = self.block(move |_| group_marks(&group, &splits)).await?;
                // An offset without an account was set by somebody: the account goes on from what the journal knows.
                let marks = found.into_iter().zip(known);
                Ok(marks
                    .map(|(m, (_, known))| {
                        m.map(|(m, next)| m.unwrap_or(Mark { next, ..known.unwrap_or_default() }))
                    })
                    .collect())
            }
            Keeping::Topic { .. } => {
                let (pipeline, base) = (self.pipeline.clone(), self.base.clone());
                let (topic, marks) = self
                    .block(move |client| {
                        let topic = positions::prepare(client)?;
                        Ok((topic, positions::read(client, base, &pipeline, &splits)?))
                    })
                    .await?;
                self.keep_in(topic);
                Ok(marks)
            }
        }
    }
}

/// The mark, if there is one, and the offset.
type Noted = (Option<Mark>, i64);

/// What the source's group committed: the mark if there is one, and the offset.
fn group_marks(group: &Group, splits: &[Split]) -> Result<Vec<Option<Noted>>> {
    let what = format!("offsets of the group {} can't be read", group.id());
    let doing = during(&what);
    let mut list = List::new(splits.len());
    for split in splits {
        list.add(&split.topic, split.partition, -1001, None).map_err(&doing)?;
    }
    // An open transaction hides what it is about to commit until it ends.
    group.client().committed(&list, writer::TRANSACTION + NAMING).map_err(&doing)?;
    let mut found = HashMap::new();
    for place in list.places() {
        if place.code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(doing(Fault::of(place.code)));
        }
        if place.offset >= 0 {
            let mark = place.metadata.as_deref().and_then(Mark::parse).filter(|m| m.next == place.offset);
            found.insert(Split::new(&place.topic, place.partition), (mark, place.offset));
        }
    }
    Ok(splits.iter().map(|s| found.get(s).copied()).collect())
}
