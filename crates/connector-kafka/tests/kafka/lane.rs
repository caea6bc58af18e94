//! A lane as the engine drives it, small enough to be stopped at any point.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connector::records::{
    BatchBuilder, Endpoint, Headers, Host, Mark, Polled, RecordRef, RecordSink, RecordSource, Refused,
    Ruling, Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use connector_kafka::OffsetsFor;

use crate::cluster::{Cluster, WAIT, context, unique};

/// What was refused, in order.
#[derive(Debug, Default)]
pub struct Desk {
    pub refused: RefCell<Vec<(i64, Refused)>>,
    pub blocks: Cell<bool>,
}

#[async_trait(?Send)]
impl Host for Desk {
    async fn refuse(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
        for r in refused {
            let offset = unit.batch.get(r.index).unwrap().offset;
            self.refused.borrow_mut().push((offset, r));
        }
        if self.blocks.get() {
            return Err(Error::new(ErrorKind::Unacceptable, "the task stops at refused records"));
        }
        Ok(Ruling::Kept)
    }
}

/// Runs a lane's future as the engine does.
pub fn on_lane<T>(future: impl Future<Output = T>) -> T {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let out = tokio::task::LocalSet::new().block_on(&threads, future);
    threads.shutdown_timeout(Duration::from_secs(1));
    out
}

pub struct Lane {
    pub source: Box<dyn RecordSource>,
    pub sink: Box<dyn RecordSink>,
    pub desk: Rc<Desk>,
    pub joined: bool,
    pub marks: BTreeMap<Split, Mark>,
    pub taken: usize,
}

impl Lane {
    pub fn new(from: &Endpoint, to: &Endpoint, pipeline: &str, number: u32) -> Result<Self> {
        let context = context(pipeline, number);
        let desk = Rc::new(Desk::default());
        let source = connector_kafka::source(from, &context)?;
        let mut sink = connector_kafka::sink(to, &context, desk.clone())?;
        let joined = source.group().is_some_and(|g| sink.join(g));
        Ok(Self { source, sink, desk, joined, marks: BTreeMap::new(), taken: 0 })
    }

    /// One turn.
    pub async fn turn(&mut self) -> Result<()> {
        let polled = match self.source.poll(Duration::from_millis(20), 256 << 10) {
            // Call again later.
            Err(e) if e.kind() == ErrorKind::Unavailable => Polled::Idle,
            polled => polled?,
        };
        match polled {
            Polled::Assigned(splits) => {
                let known: Vec<_> = splits.iter().map(|s| (s.clone(), None)).collect();
                let committed = self.sink.committed(&known).await?;
                let opened: Vec<_> =
                    splits.iter().cloned().zip(committed.iter().map(|m| m.unwrap_or_default())).collect();
                self.sink.open(&opened).await?;
                self.marks.extend(opened);
                let starts: Vec<_> =
                    splits.into_iter().zip(committed.iter().map(|m| m.map(|m| m.next))).collect();
                self.source.start(&starts)?;
            }
            Polled::Batch(batch) => {
                self.taken += batch.len();
                self.sink.write(Unit::as_read(Arc::new(batch))).await?;
            }
            Polled::Revoked(splits) => {
                self.sink.flush().await?;
                self.note()?;
                self.sink.close(&splits).await;
                self.source.release(&splits)?;
            }
            Polled::Lost(splits) => self.sink.close(&splits).await,
            Polled::Idle => {}
        }
        self.sink.tick().await?;
        self.note()?;
        tokio::task::yield_now().await;
        Ok(())
    }

    fn note(&mut self) -> Result<()> {
        let settled = self.sink.settled();
        if !self.joined {
            let positions: Vec<_> =
                settled.iter().map(|s| (s.split.clone(), s.mark.next, s.mark.to_text())).collect();
            self.source.commit(&positions)?;
        }
        self.marks.extend(settled.into_iter().map(|s| (s.split, s.mark)));
        Ok(())
    }

    pub async fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        self.try_until(what, &mut done).await.unwrap();
    }

    pub async fn try_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            assert!(Instant::now() < end, "{what} did not come; marks {:?}", self.marks);
            self.turn().await?;
        }
        Ok(())
    }

    /// Runs until everything that is in the topic now is settled.
    pub async fn drain(&mut self, cluster: &Cluster, topic: &str) {
        let ends = cluster.admin().offsets(topic, OffsetsFor::End, WAIT).unwrap();
        self.until("the end", |lane| {
            ends.iter().all(|(p, end)| {
                *end == 0 || lane.marks.get(&Split::new(topic, *p)).is_some_and(|m| m.next >= *end)
            })
        })
        .await;
    }
}

/// A record that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owned {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Owned {
    pub fn of(partition: i32, r: &RecordRef<'_>) -> Self {
        Self {
            partition,
            offset: r.offset,
            timestamp_ms: r.timestamp_ms,
            key: r.key.map(<[u8]>::to_vec),
            value: r.value.map(<[u8]>::to_vec),
            headers: r.headers.map(|(n, v)| (n.to_vec(), v.map(<[u8]>::to_vec))).collect(),
        }
    }
}

/// Everything that is committed in a topic.
pub fn read_all(cluster: &Cluster, topic: &str) -> Vec<Owned> {
    let admin = cluster.admin();
    let mut all = Vec::new();
    // Markers are written after the answer to a commit; what is before them is not seen so long.
    let ends = || admin.offsets(topic, OffsetsFor::End, WAIT).unwrap();
    let mut now = ends();
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let before = std::mem::replace(&mut now, ends());
        if before == now {
            break;
        }
    }
    for (partition, end) in now {
        let mut from = 0;
        while from < end {
            let batch = admin.records(topic, partition, from, (1000, usize::MAX), WAIT).unwrap();
            all.extend(batch.iter().map(|r| Owned::of(partition, &r)));
            assert!(batch.next() > from, "{topic}-{partition} stands at {from} of {end}");
            from = batch.next();
        }
    }
    all
}

pub fn values(records: &[Owned]) -> Vec<String> {
    let text = |v: &Option<Vec<u8>>| String::from_utf8_lossy(v.as_deref().unwrap_or_default()).into_owned();
    let mut all: Vec<String> = records.iter().map(|r| text(&r.value)).collect();
    all.sort();
    all
}

/// Writes `values` with keys into a topic, plainly.
pub fn fill(cluster: &Cluster, topic: &str, values: &[String]) {
    let to = cluster.endpoint(&format!(r#"{{"topic":"{topic}","exactly_once":false}}"#));
    on_lane(async {
        let desk = Rc::new(Desk::default());
        let mut sink = connector_kafka::sink(&to, &context(&unique("fill"), 0), desk).unwrap();
        let split = Split::new("fill", 0);
        for chunk in values.chunks(1000) {
            let mut batch = BatchBuilder::new(split.clone(), 0);
            for (i, value) in chunk.iter().enumerate() {
                let key = format!("k{}", i % 50);
                batch.push(&RecordRef {
                    offset: i as i64,
                    sub: 0,
                    timestamp_ms: 1_700_000_000_000 + i as i64,
                    key: Some(key.as_bytes()),
                    value: Some(value.as_bytes()),
                    headers: Headers::none(),
                });
            }
            sink.write(Unit::as_read(Arc::new(batch.finish(0)))).await.unwrap();
        }
        sink.flush().await.unwrap();
    });
}

/// Fails, in few words, unless the values of a topic are those of `numbered`, each once.
pub fn assert_each_once(cluster: &Cluster, topic: &str, n: usize) {
    let mut found = read_all(cluster, topic);
    // A busy broker writes the last markers late.
    let end = Instant::now() + Duration::from_secs(20);
    while found.len() < n && Instant::now() < end {
        found = read_all(cluster, topic);
    }
    let mut times = std::collections::HashMap::new();
    values(&found).into_iter().for_each(|v| *times.entry(v).or_insert(0) += 1);
    let lost: Vec<String> = numbered(n).into_iter().filter(|v| !times.contains_key(v)).collect();
    let twice = times.values().filter(|n| **n > 1).count();
    let first = lost.first();
    assert!(
        lost.is_empty() && twice == 0 && times.len() == n,
        "{} lost, first {first:?}; {twice} twice",
        lost.len()
    );
}

pub fn numbered(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{i:08}")).collect()
}
