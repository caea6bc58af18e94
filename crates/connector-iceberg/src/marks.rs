//! Marks in a table's snapshots.
//!
//! Each snapshot of ours has two properties in its summary: `wharf.commit`, the identity of the commit, by which it is found again when the answer was
//! lost; and `wharf.marks.<pipeline>`, a JSON object of all splits that the pipeline ever moved in this table, each with its mark in text form.
//! Splits that did not move are carried forward, so the newest snapshot of ours tells all; the ones of others on top of it are passed by on the way back
//! through the parents.

use std::collections::BTreeMap;

use connector::records::Split;
use iceberg::spec::{SnapshotRef, TableMetadata};

/// The property with a commit's identity.
pub(crate) const COMMIT: &str = "wharf.commit";
/// Snapshots that are looked at on the way back.
const MAX_BACK: usize = 100_000;

/// Marks by split, in text form.
pub(crate) type Marks = BTreeMap<String, String>;

/// The property with the marks.
pub(crate) fn property(pipeline: &str) -> String {
    format!("wharf.marks.{pipeline}")
}

/// What a split is called.
pub(crate) fn name(split: &Split) -> String {
    format!("{}/{}", split.topic, split.partition)
}

fn back(metadata: &TableMetadata) -> impl Iterator<Item = &SnapshotRef> {
    let parent = |s: &&SnapshotRef| metadata.snapshot_by_id(s.parent_snapshot_id()?);
    std::iter::successors(metadata.current_snapshot(), parent).take(MAX_BACK)
}

/// The marks of a pipeline; `None` where no snapshot in the present line has any.
pub(crate) fn known(metadata: &TableMetadata, pipeline: &str) -> Option<Marks> {
    let key = property(pipeline);
    let mut texts = back(metadata).filter_map(|s| s.summary().additional_properties.get(&key));
    serde_json::from_str(texts.next()?).ok()
}

/// The snapshot of a commit, wherever it is.
pub(crate) fn find<'a>(metadata: &'a TableMetadata, commit: &str) -> Option<&'a SnapshotRef> {
    metadata.snapshots().find(|s| s.summary().additional_properties.get(COMMIT).is_some_and(|c| c == commit))
}
