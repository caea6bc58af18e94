//! Streams: made, found, changed, scaled, removed.
//!
//! The store goes first when one is made and last when one is removed, with a state that says what is under way: what a
//! crash or a silent cluster interrupted is finished by the upkeep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{AutoScale, DisData, DisKind, DisStatus, DisStream, DisStreamId, PartitionChange, Timestamp};

use super::topics::retention;
use super::{Tags, has_schema, pace};
use crate::ends::taken;
use crate::whose::STREAMS;
use crate::{Caller, Cluster, Control, Error, ErrorKind, Noun, Result};

/// Partitions of a stream.
const PARTITIONS: std::ops::RangeInclusive<u32> = 1..=500;
/// Hours that records are kept.
const RETENTION: std::ops::RangeInclusive<u32> = 24..=72;
/// Scalings that the product allows in an hour.
const SCALINGS: usize = 5;
const HOUR_US: i64 = 3_600_000_000;

/// A stream to make.
#[derive(Debug, Clone)]
pub struct NewDisStream {
    /// Name: 1 to 64 letters, digits, `-` or `_`.
    pub name: String,
    /// Open partitions.
    pub partitions: u32,
    /// What a partition takes.
    pub kind: DisKind,
    /// What the records are.
    pub data: DisData,
    /// Avro schema.
    pub schema: Option<String>,
    /// What separates values of CSV.
    pub csv_delimiter: Option<String>,
    /// How clients compress the records.
    pub compression: Option<String>,
    /// Hours that records are kept.
    pub retention_hours: u32,
    /// Scaling by itself.
    pub auto_scale: AutoScale,
    /// Tags.
    pub tags: Tags,
    /// Tags of the system.
    pub system_tags: Tags,
}

/// Changes of a stream; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct DisChange {
    /// What the records are.
    pub data: Option<DisData>,
    /// Avro schema; empty = none.
    pub schema: Option<String>,
    /// Hours that records are kept.
    pub retention_hours: Option<u32>,
    /// Scaling by itself: whether, fewest, most.
    pub auto_scale: (Option<bool>, Option<u32>, Option<u32>),
}

impl Control {
    /// Makes a stream with its topic.
    ///
    /// # Errors
    /// `Exists(Stream)`, `Invalid`, `LimitExceeded`, `Unreachable`.
    pub async fn create_dis_stream(&self, c: &Caller, new: NewDisStream) -> Result<Arc<DisStream>> {
        let now = self.now();
        let mut stream = DisStream {
            id: DisStreamId(self.0.random.alphanumeric(19)),
            account: c.account.clone(),
            topic: format!("{STREAMS}{}.{}", c.account, new.name),
            name: new.name,
            status: DisStatus::Creating,
            kind: new.kind,
            data: new.data,
            schema: new.schema.filter(|_| has_schema(new.data)),
            csv_delimiter: new.csv_delimiter,
            compression: new.compression,
            retention_hours: new.retention_hours,
            auto_scale: new.auto_scale,
            partitions: Vec::new(),
            changes: Vec::new(),
            tags: new.tags,
            system_tags: new.system_tags,
            created: now,
            modified: now,
        };
        check(&stream)?;
        if !PARTITIONS.contains(&new.partitions) {
            let words = "a stream has 1 to 500 partitions";
            return Err(Error::new(ErrorKind::Invalid, words).field("partition_count"));
        }
        self.check_quota(c, stream.kind, new.partitions).await?;
        stream.rescale(new.partitions, now, false);
        let turn = self.turn_of(&stream.topic).await?;
        let stream = self.insert_dis_stream(c, stream).await?;
        self.finish_creating(&stream, turn).await
    }

    /// Stores a new stream, or finds the same one whose topic is still to be made.
    async fn insert_dis_stream(&self, c: &Caller, stream: DisStream) -> Result<DisStream> {
        if let Some(left) = self.find_dis_stream(c, |s| s.name == stream.name).await? {
            return match left.status {
                DisStatus::Creating if is_same(&left, &stream) => Ok(DisStream::clone(&left)),
                _ => Err(exists(&stream.name)),
            };
        }
        // What lies there under this name is not ours.
        let names = [stream.topic.clone()];
        let own = Cluster::default();
        let found = self.0.streams.topics(&own, Some(&names));
        if !self.answered(found, Noun::Stream).await?.is_empty() {
            return Err(exists(&stream.name));
        }
        let limit = self.0.limits.dis.streams_per_account;
        match self.0.store.insert_dis_stream(&stream, limit).await {
            Ok(()) => Ok(stream),
            Err(e) if e.kind() == store::ErrorKind::Exists => Err(taken(e, Noun::Stream, &stream.name)),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) async fn changed(
        &self,
        id: &DisStreamId,
        change: impl FnOnce(&mut DisStream) -> Result<()> + Send,
    ) -> Result<Arc<DisStream>> {
        self.0.store.change_dis_stream(id, change).await.map_err(|e| match e.kind() {
            store::ErrorKind::NotFound => Error::not_found(Noun::Stream, id),
            _ => e.into(),
        })?
    }

    async fn find_dis_stream(
        &self,
        c: &Caller,
        which: impl Fn(&DisStream) -> bool,
    ) -> Result<Option<Arc<DisStream>>> {
        let all = self.0.store.dis_streams().await?;
        Ok(all.iter().find(|s| c.may_see(&s.account) && which(s)).cloned())
    }

    /// The caller's streams, by name.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dis_streams(&self, c: &Caller) -> Result<Vec<Arc<DisStream>>> {
        let all = self.0.store.dis_streams().await?;
        Ok(all.iter().filter(|s| c.may_see(&s.account)).cloned().collect())
    }

    /// One of the caller's streams, by its name or else its id.
    ///
    /// # Errors
    /// `NotFound(Stream)`.
    pub async fn dis_stream(&self, c: &Caller, name: &str) -> Result<Arc<DisStream>> {
        let mut found = self.find_dis_stream(c, |s| s.name == name).await?;
        if found.is_none() {
            found = self.find_dis_stream(c, |s| s.id.as_str() == name).await?;
        }
        found.ok_or_else(|| Error::not_found(Noun::Stream, shortened(name)))
    }

    /// One of the caller's streams, by its id alone.
    ///
    /// # Errors
    /// `NotFound(Stream)`.
    pub async fn dis_stream_by_id(&self, c: &Caller, id: &str) -> Result<Arc<DisStream>> {
        let found = self.find_dis_stream(c, |s| s.id.as_str() == id).await?;
        found.ok_or_else(|| Error::not_found(Noun::Stream, shortened(id)))
    }

    /// The same as [`Control::dis_stream`], if it takes and gives records.
    ///
    /// # Errors
    /// `NotFound(Stream)`, `InvalidState`.
    pub async fn running_dis_stream(&self, c: &Caller, name: &str) -> Result<Arc<DisStream>> {
        let found = self.dis_stream(c, name).await?;
        match found.status {
            DisStatus::Running => Ok(found),
            _ => Err(Error::new(ErrorKind::InvalidState, "the stream is not running")),
        }
    }

    /// Changes a stream, also on the cluster.
    ///
    /// # Errors
    /// `NotFound(Stream)`, `InvalidState`, `Invalid`, `Unreachable`.
    pub async fn change_dis_stream(
        &self,
        c: &Caller,
        name: &str,
        change: DisChange,
    ) -> Result<Arc<DisStream>> {
        let before = self.running_dis_stream(c, name).await?;
        let turn = self.turn_of(&before.topic).await?;
        let before = self.again(&before).await?;
        let mut after = before.clone();
        apply(&mut after, &change);
        check(&after)?;
        // Also when the stream says so already: a crash may have come between the two steps of an earlier change.
        if change.retention_hours.is_some() {
            let configs = BTreeMap::from([retention(&after)]);
            let own = Cluster::default();
            let call = self.0.streams.configure_topic(&own, &before.topic, &configs);
            self.answered(call, Noun::Stream).await?;
        }
        let now = self.now();
        let change = move |s: &mut DisStream| {
            apply(s, &change);
            s.modified = now;
            check(s)
        };
        let changed = self.changed(&before.id, change).await;
        drop(turn);
        changed
    }

    /// Opens or closes partitions of a stream until so many are open.
    ///
    /// # Errors
    /// `NotFound(Stream)`, `InvalidState`, `Invalid` (`target_partition_count`), `LimitExceeded`, `Throttled`, `Unreachable`.
    pub async fn rescale_dis_stream(&self, c: &Caller, name: &str, target: u32) -> Result<Arc<DisStream>> {
        if !PARTITIONS.contains(&target) {
            let words = "a stream has 1 to 500 partitions";
            return Err(Error::new(ErrorKind::Invalid, words).field("target_partition_count"));
        }
        let before = self.running_dis_stream(c, name).await?;
        let _turn = self.turn_of(&before.topic).await?;
        let before = self.again(&before).await?;
        let open = before.open_count();
        if open == target {
            let words = "the stream has this number of partitions already";
            return Err(Error::new(ErrorKind::Invalid, words).field("target_partition_count"));
        }
        if self.0.limits.dis.product && !may_scale(&before.changes, self.now()) {
            return Err(Error::new(ErrorKind::Throttled, "the stream was scaled within the hour"));
        }
        self.check_quota(c, before.kind, target.saturating_sub(open)).await?;
        self.rescale(&before, target, false).await
    }

    /// Scales a stream as the upkeep wants it, if that still holds once it is its turn.
    pub(super) async fn rescale_if(
        &self,
        seen: &DisStream,
        wanted: impl Fn(&DisStream) -> Option<u32>,
    ) -> Result<()> {
        let Some(_turn) = self.0.store.turn(&seen.topic, Duration::ZERO).await? else { return Ok(()) };
        let s = self.again(seen).await?;
        let Some(target) = wanted(&s) else { return Ok(()) };
        let owner = Caller::account(s.account.clone());
        self.check_quota(&owner, s.kind, target.saturating_sub(s.open_count())).await?;
        tracing::info!(stream = %s.id, from = s.open_count(), to = target, "scales by itself");
        self.rescale(&s, target, true).await.map(drop)
    }

    /// Scales; whoever calls has the turn. The topic grows first, for what is open must be there.
    async fn rescale(&self, before: &DisStream, target: u32, auto: bool) -> Result<Arc<DisStream>> {
        let now = self.now();
        let mut after = before.clone();
        after.rescale(target, now, auto);
        let wanted = u32::try_from(after.partitions.len()).unwrap_or(u32::MAX);
        let (own, names) = (Cluster::default(), [before.topic.clone()]);
        let found = self.answered(self.0.streams.topics(&own, Some(&names)), Noun::Stream).await?;
        let there = found.first().map(|t| t.partitions).ok_or_else(|| {
            Error::new(ErrorKind::Unreachable, format!("the topic {} is not on the cluster", before.topic))
        })?;
        if wanted > there {
            self.answered(self.0.streams.grow_topic(&own, &before.topic, wanted), Noun::Stream).await?;
            self.wait_for_partitions(&before.topic, after.partitions.len()).await?;
        }
        let change = move |s: &mut DisStream| {
            s.rescale(target, now, auto);
            match u32::try_from(s.partitions.len()) {
                Ok(n) if n <= wanted.max(there) => Ok(()),
                _ => Err(Error::new(ErrorKind::Throttled, "the stream is being scaled by another server")),
            }
        };
        self.changed(&before.id, change).await
    }

    /// Changes a stream's tags.
    ///
    /// # Errors
    /// `NotFound(Stream)`, what `change` refuses.
    pub async fn change_dis_tags(
        &self,
        c: &Caller,
        id: &str,
        change: impl FnOnce(&mut Tags) -> Result<()> + Send,
    ) -> Result<Arc<DisStream>> {
        let found = self.dis_stream(c, id).await?;
        self.changed(&found.id, |s| change(&mut s.tags)).await
    }

    /// Removes a stream with its records.
    ///
    /// # Errors
    /// `NotFound(Stream)`, `Unreachable`: then it is being removed.
    pub async fn delete_dis_stream(&self, c: &Caller, name: &str) -> Result<()> {
        let found = self.dis_stream(c, name).await?;
        let terminating = |s: &mut DisStream| {
            s.status = DisStatus::Terminating;
            Ok(())
        };
        let found = self.changed(&found.id, terminating).await?;
        let turn = self.turn_of(&found.topic).await?;
        match self.0.store.dis_stream_row(&found.id).await? {
            Some(s) => self.finish_removing(&s, turn).await,
            // Another call has removed it meanwhile, and the topic of the name may be a new stream's.
            None => Ok(()),
        }
    }

    async fn check_quota(&self, c: &Caller, kind: DisKind, more: u32) -> Result<()> {
        if !self.0.limits.dis.product {
            return Ok(());
        }
        let all = self.dis_streams(c).await?;
        let have: u32 = all.iter().filter(|s| s.kind == kind).map(|s| s.open_count()).sum();
        let quota = pace(kind).quota;
        if have.saturating_add(more) > quota {
            let words = format!("{have} of {quota} {} partitions are in use", kind.name());
            return Err(Error::new(ErrorKind::LimitExceeded, words));
        }
        Ok(())
    }
}

/// May a stream that was scaled at these times be scaled again?
pub(super) fn may_scale(changes: &[PartitionChange], now: Timestamp) -> bool {
    let recent = changes.iter().filter(|c| now.0.saturating_sub(c.at.0) < HOUR_US).count();
    recent == 0 && recent < SCALINGS
}

/// Is what was left over what is wanted now?
fn is_same(left: &DisStream, wanted: &DisStream) -> bool {
    let plain = |s: &DisStream| {
        let (schema, delimiter, compression) =
            (s.schema.clone(), s.csv_delimiter.clone(), s.compression.clone());
        (s.kind, s.data, schema, delimiter, compression, s.retention_hours, s.auto_scale, s.open_count())
    };
    plain(left) == plain(wanted) && left.tags == wanted.tags && left.system_tags == wanted.system_tags
}

fn exists(name: &str) -> Error {
    let words = format!("a stream or a topic with the name {name} exists already");
    Error::new(ErrorKind::Exists(Noun::Stream), words).field("stream_name")
}

fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

fn apply(s: &mut DisStream, change: &DisChange) {
    if let Some(data) = change.data {
        s.data = data;
    }
    if let Some(schema) = &change.schema {
        s.schema = Some(schema.clone()).filter(|text| !text.is_empty());
    }
    if let Some(hours) = change.retention_hours {
        s.retention_hours = hours;
    }
    let (enabled, least, most) = change.auto_scale;
    let now = s.auto_scale;
    s.auto_scale = AutoScale {
        enabled: enabled.unwrap_or(now.enabled),
        least: least.unwrap_or(now.least),
        most: most.unwrap_or(now.most),
    };
}

fn check(s: &DisStream) -> Result<()> {
    let refuse = |words: &str, field| Err(Error::new(ErrorKind::Invalid, words).field(field));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if !(1..=64).contains(&s.name.len()) || !s.name.bytes().all(plain) {
        return refuse("a stream's name has 1 to 64 letters, digits, `-` or `_`", "stream_name");
    }
    if !RETENTION.contains(&s.retention_hours) {
        return refuse("records are kept for 24 to 72 hours", "data_duration");
    }
    let AutoScale { enabled, least, most } = s.auto_scale;
    if enabled && !(1 <= least && least <= most && most <= *PARTITIONS.end()) {
        let words = "the fewest and the most partitions of a stream that scales by itself are 1 to 500, in this order";
        return refuse(words, "auto_scale_min_partition_count");
    }
    Ok(())
}
