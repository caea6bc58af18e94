//! Streams of the DIS API: what is interrupted is finished, nothing goes where it must not, and what is limited is.
#![allow(clippy::large_futures, clippy::panic, clippy::wildcard_imports, clippy::unwrap_used)]

#[path = "control/harness.rs"]
mod harness;

use std::collections::BTreeMap;

use connector::ErrorKind as C;
use control::{ErrorKind as E, *};
use harness::Harness;
use harness::streams::own;
use model::*;

const HOUR: i64 = 3_600_000_000;

fn new(name: &str, partitions: u32) -> NewDisStream {
    NewDisStream {
        name: name.into(),
        partitions,
        kind: DisKind::Common,
        data: DisData::Blob,
        schema: None,
        csv_delimiter: None,
        compression: None,
        retention_hours: 24,
        auto_scale: AutoScale::default(),
        tags: BTreeMap::new(),
        system_tags: BTreeMap::new(),
    }
}

fn kind<T: std::fmt::Debug>(r: Result<T>) -> E {
    r.unwrap_err().kind
}

fn record(data: &str) -> DisRecord {
    DisRecord { data: data.as_bytes().to_vec().into(), ..DisRecord::default() }
}

fn fail(h: &Harness, why: Option<C>) {
    h.streams.with(&own(), |c| c.fails = why);
}

fn topics(h: &Harness) -> Vec<String> {
    h.streams.with(&own(), |c| c.topics.keys().cloned().collect())
}

#[tokio::test]
async fn what_a_silent_cluster_interrupts_is_finished() {
    let h = Harness::new().await;
    // Made, but the answer is lost: the stream is there and takes nothing yet.
    h.streams.with(&own(), |c| c.loses_answers = true);
    assert_eq!(kind(h.control.create_dis_stream(&h.me, new("a", 2)).await), E::Unreachable);
    assert_eq!(h.control.dis_stream(&h.me, "a").await.unwrap().status, DisStatus::Creating);
    assert_eq!(kind(h.control.running_dis_stream(&h.me, "a").await), E::InvalidState);
    h.streams.with(&own(), |c| c.loses_answers = false);
    let made = h.control.create_dis_stream(&h.me, new("a", 2)).await.unwrap();
    assert_eq!((made.status, made.partitions.len()), (DisStatus::Running, 2));
    assert_eq!(kind(h.control.create_dis_stream(&h.me, new("a", 2)).await), E::Exists(Noun::Stream));
    // Not made: the upkeep makes it.
    fail(&h, Some(C::Unavailable));
    assert_eq!(kind(h.control.create_dis_stream(&h.me, new("b", 1)).await), E::Unreachable);
    fail(&h, None);
    h.streams.with(&own(), |c| c.loses_answers = true);
    assert_eq!(kind(h.control.create_dis_stream(&h.me, new("b", 1)).await), E::Unreachable);
    h.streams.with(&own(), |c| c.loses_answers = false);
    h.control.housekeeping().await.unwrap();
    assert_eq!(h.control.dis_stream(&h.me, "b").await.unwrap().status, DisStatus::Running);
    // Refused for good: nothing is left.
    fail(&h, Some(C::Denied));
    assert!(h.control.create_dis_stream(&h.me, new("c", 1)).await.is_err());
    fail(&h, None);
    assert_eq!(kind(h.control.dis_stream(&h.me, "c").await), E::NotFound(Noun::Stream));
    // Being removed until it is removed.
    fail(&h, Some(C::Unavailable));
    assert_eq!(kind(h.control.delete_dis_stream(&h.me, "a").await), E::Unreachable);
    assert_eq!(h.control.dis_stream(&h.me, "a").await.unwrap().status, DisStatus::Terminating);
    fail(&h, None);
    h.control.housekeeping().await.unwrap();
    assert_eq!(kind(h.control.dis_stream(&h.me, "a").await), E::NotFound(Noun::Stream));
    assert_eq!(topics(&h).iter().filter(|t| t.starts_with("dis.")).count(), 1);
}

#[tokio::test]
async fn a_topic_that_is_anothers_is_not_taken_and_not_shown() {
    let h = Harness::new().await;
    let other = Caller::account("other".into());
    h.streams.topic(&own(), &format!("dis.{}.taken", h.me.account), 1);
    assert_eq!(kind(h.control.create_dis_stream(&h.me, new("taken", 1)).await), E::Exists(Noun::Stream));
    let s = h.control.create_dis_stream(&h.me, new("mine", 1)).await.unwrap();
    let shown = |all: Vec<ClusterTopic>| all.iter().any(|t| t.name == s.topic);
    assert!(shown(h.control.kafka_topics(&h.me, &ClusterRef::Own).await.unwrap()));
    assert!(!shown(h.control.kafka_topics(&other, &ClusterRef::Own).await.unwrap()));
    assert_eq!(kind(h.control.dis_stream(&other, "mine").await), E::NotFound(Noun::Stream));
    assert_eq!(kind(h.control.dis_stream_by_id(&other, s.id.as_str()).await), E::NotFound(Noun::Stream));
    // Nobody takes the name of a stream that is yet to be made.
    let topic = NewTopic {
        name: "dis.other.mine".into(),
        note: String::new(),
        partitions: 1,
        retention_ms: 60_000,
        tags: BTreeMap::new(),
    };
    assert_eq!(kind(h.control.create_topic(&h.me, topic).await), E::Invalid);
    // The same name is free for another account.
    h.control.create_dis_stream(&other, new("mine", 1)).await.unwrap();
}

#[tokio::test]
async fn records_that_the_log_does_not_take_say_so_each() {
    let h = Harness::new().await;
    let s = h.control.create_dis_stream(&h.me, new("s", 3)).await.unwrap();
    let placed = h.control.dis_put(&s, vec![record("a"), record("b"), record("c")]).await;
    let mut partitions: Vec<u32> = placed.iter().map(|p| p.unwrap().0).collect();
    partitions.sort_unstable();
    assert_eq!(partitions, [0, 1, 2], "in turn");
    let to = |partition| DisRecord { partition: Some(partition), ..record("x") };
    h.streams.with(&own(), |c| c.topics.get_mut(&s.topic).unwrap().partitions.truncate(2));
    let placed = h.control.dis_put(&s, vec![to(0), to(2), to(9), to(0)]).await;
    assert_eq!(placed, [Ok((0, 1)), Err(DisRefusal::Failed), Err(DisRefusal::NoPartition), Ok((0, 2))]);
    assert!(h.control.dis_put(&s, Vec::new()).await.is_empty());
    let minutes = h.control.dis_minutes(&s, None, (0, i64::MAX)).await.unwrap();
    assert_eq!((minutes[0].1.put_records, minutes[0].1.puts), (5, 3), "what was taken counts");
}

#[tokio::test]
async fn a_closed_partition_is_read_until_it_expires_and_comes_back() {
    let h = Harness::new().await;
    h.control.create_dis_stream(&h.me, new("s", 3)).await.unwrap();
    let s = h.control.rescale_dis_stream(&h.me, "s", 1).await.unwrap();
    let state = |s: &DisStream, h: &Harness| s.state_of(&s.partitions[2], Timestamp(h.clock.now().0));
    assert_eq!(state(&s, &h), PartitionState::Deleted);
    h.clock.advance(24 * HOUR);
    assert_eq!(state(&s, &h), PartitionState::Expired);
    let s = h.control.rescale_dis_stream(&h.me, "s", 4).await.unwrap();
    assert_eq!((state(&s, &h), s.partitions.len()), (PartitionState::Active, 4));
    assert_eq!(h.streams.with(&own(), |c| c.topics[&s.topic].partitions.len()), 4, "the topic grew by one");
    for bad in [0, 501, 4] {
        assert_eq!(kind(h.control.rescale_dis_stream(&h.me, "s", bad).await), E::Invalid, "{bad}");
    }
    fail(&h, Some(C::Unavailable));
    assert_eq!(kind(h.control.rescale_dis_stream(&h.me, "s", 9).await), E::Unreachable);
    fail(&h, None);
    assert_eq!(h.control.dis_stream(&h.me, "s").await.unwrap().open_count(), 4, "nothing changed");
}

#[tokio::test]
async fn the_products_limits_and_scaling_by_itself() {
    let dis = DisLimits { product: true, ..DisLimits::default() };
    let h = Harness::with(Limits { dis, ..Limits::default() }).await;
    let scale = AutoScale { enabled: true, least: 1, most: 4 };
    let s =
        h.control.create_dis_stream(&h.me, NewDisStream { auto_scale: scale, ..new("s", 2) }).await.unwrap();
    assert_eq!(kind(h.control.create_dis_stream(&h.me, new("t", 49)).await), E::LimitExceeded);
    // A second's worth goes, and no more; then it fills again.
    let big = || DisRecord { partition: Some(0), ..record(&"x".repeat(1 << 19)) };
    let put = async |n: usize| {
        let placed = h.control.dis_put(&s, (0..n).map(|_| big()).collect()).await;
        placed.iter().filter(|p| p.is_ok()).count()
    };
    assert_eq!((put(3).await, put(1).await), (2, 0));
    h.clock.advance(500_000);
    assert_eq!((put(1).await, put(1).await), (1, 0));
    let read = h.control.dis_get(&s, 0, 0, (1 << 22, 100)).await.unwrap();
    assert_eq!((read.records.len(), read.next), (3, 3));
    assert!(h.control.dis_get(&s, 0, 0, (1 << 22, 100)).await.is_ok());
    assert_eq!(kind(h.control.dis_get(&s, 0, 0, (1 << 22, 100)).await), E::Throttled);
    // A minute at full load: two partitions become four (ceil(2 / 0.6)).
    let next_minute = || h.clock.advance(60_000_000 - h.clock.now().0 % 60_000_000);
    next_minute();
    for _ in 0..119 {
        h.clock.advance(500_000);
        let both = [0, 1].map(|p| DisRecord { partition: Some(p), ..big() });
        h.control.dis_put(&s, both.to_vec()).await;
        put(1).await;
    }
    next_minute();
    h.control.housekeeping().await.unwrap();
    let s = h.control.dis_stream(&h.me, "s").await.unwrap();
    assert_eq!((s.open_count(), s.changes.last().map(|c| c.auto)), (4, Some(true)));
    assert_eq!(kind(h.control.rescale_dis_stream(&h.me, "s", 2).await), E::Throttled, "within the hour");
    // Next to nothing in the last minute, an hour later: half of them.
    h.clock.advance(HOUR);
    h.control.dis_put(&s, vec![record("a")]).await;
    h.clock.advance(60_000_000);
    h.control.housekeeping().await.unwrap();
    assert_eq!(h.control.dis_stream(&h.me, "s").await.unwrap().open_count(), 2);
}

#[tokio::test]
async fn figures_are_kept_for_a_week() {
    let h = Harness::new().await;
    let s = h.control.create_dis_stream(&h.me, new("s", 1)).await.unwrap();
    for _ in 0..3 {
        h.control.dis_put(&s, vec![record("12345"), record("6")]).await;
        h.control.housekeeping().await.unwrap();
    }
    h.control.dis_put(&s, vec![record("7")]).await;
    let sums = h.control.dis_minutes(&s, Some(0), (0, i64::MAX)).await.unwrap();
    assert_eq!((sums.len(), sums[0].1.put_records, sums[0].1.put_bytes), (1, 7, 19), "written down and not");
    h.clock.advance(7 * 24 * HOUR + 120_000_000);
    h.control.housekeeping().await.unwrap();
    assert!(h.control.dis_minutes(&s, Some(0), (0, i64::MAX)).await.unwrap().is_empty());
}

#[tokio::test]
async fn apps_in_use_stay_and_tokens_are_not_kept_in_the_clear() {
    let h = Harness::new().await;
    let s = h.control.create_dis_stream(&h.me, new("s", 1)).await.unwrap();
    let app = h.control.create_dis_app(&h.me, "reader").await.unwrap();
    let at = DisCheckpoint { partition: 0, sequence: 0, metadata: String::new() };
    h.control.commit_dis_checkpoint(&app, &s, &at).await.unwrap();
    assert_eq!(kind(h.control.delete_dis_app(&h.me, "reader").await), E::InUse);
    h.control.delete_dis_stream(&h.me, "s").await.unwrap();
    assert_eq!(kind(h.control.commit_dis_checkpoint(&app, &s, &at).await), E::NotFound(Noun::Stream));
    h.control.delete_dis_app(&h.me, "reader").await.unwrap();
    let token = GivenToken("a token with spaces".into());
    let given = NewAccount { name: "n".into(), tokens: vec![token], ..NewAccount::default() };
    assert_eq!(kind(h.control.create_account(given).await), E::Invalid);
    let (account, _) =
        h.control.create_account(NewAccount { name: "n".into(), ..NewAccount::default() }).await.unwrap();
    let token = h.control.issue_token(&account.id).await.unwrap();
    let found = h.control.account_by_token(&token).await.unwrap().unwrap();
    assert!(found.id == account.id && !found.tokens.contains(&token));
    assert!(h.control.account_by_token(&found.tokens[0]).await.unwrap().is_none(), "a digest is no token");
    assert_eq!(h.control.revoke_tokens(&account.id).await.unwrap(), 1);
    assert!(h.control.account_by_token(&token).await.unwrap().is_none());
}
