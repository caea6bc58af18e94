//! The source: a member of the pipeline's consumer group.
//!
//! Two queues of the library: events (assignments, errors) come through the consumer's own, messages of all partitions through
//! another. So the membership is kept (`room` 0) without taking or dropping a message: what was fetched stays
//! where it is, and the library fetches no more when its small budget is used up.
//!
//! Rebalancing is cooperative. A revoked split gives nothing more, and is handed over when all that were revoked with it are released;
//! until then the group waits (`max.poll.interval.ms`). What was lost is let go of at once.
//!
//! Where a split begins by the options' rule, an empty batch says so first. The position is then settled and
//! committed at once, and a restart before the first record does not begin elsewhere (`latest` would skip what came meanwhile).

mod again;
mod batches;
mod group;
mod start;

pub(crate) use group::Group;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::records::{Batch, BatchBuilder, Context, Endpoint, GroupToken, Polled, RecordSource, Split};
use connector::{Error, ErrorKind, Result};

use crate::fault::during;
use crate::options::{Connection, SourceOptions, Start, parse};
use crate::raw::{Client, Code, Event, Fault, Fetched, List, Queue};
use batches::{collect, run};

/// Waits for answers of the cluster take this long at most.
const ANSWER: Duration = Duration::from_secs(10);
/// Events are looked for this often while messages are waited for.
const SLICE: Duration = Duration::from_millis(100);
/// Messages that are taken off the library's queue at once.
const TAKEN: usize = 5000;

/// A member of a consumer group that gives batches of its partitions.
pub struct KafkaSource {
    describe: String,
    start: Start,
    fetched: Fetched,
    data: Queue,
    events: Queue,
    client: Arc<Client>,
    group: Arc<Group>,
    /// What the group has given to this member.
    offered: HashSet<Split>,
    /// The position that comes next, of each split that was started.
    positions: HashMap<Split, i64>,
    /// Splits that were started again, or had an error in the place of a message: until a message comes, the library's own
    /// position may be wrong.
    unsure: HashSet<Split>,
    /// Splits that are to be started again, and where.
    again: HashMap<Split, i64>,
    /// A revocation that is found now may have come before partitions were started again, which the library takes for the answer.
    doubtful: bool,
    /// Splits that no message has come of since they were started.
    unheard: HashSet<Split>,
    /// When it was last said where messages of those are to go.
    directed: Instant,
    /// Empty batches that fix where a split began.
    pins: VecDeque<Batch>,
    revoked: Option<Revoked>,
}

/// Splits that the group waits for.
struct Revoked {
    list: List,
    waiting: HashSet<Split>,
}

/// Makes a source. It asks nobody yet.
///
/// # Errors
/// `Unacceptable` for options that [`check_source`](crate::check_source) names problems of.
pub fn source(endpoint: &Endpoint, context: &Context) -> Result<Box<dyn RecordSource>> {
    Ok(Box::new(KafkaSource::new(endpoint, context)?))
}

impl KafkaSource {
    /// As [`source`].
    ///
    /// # Errors
    /// As [`source`].
    pub fn new(endpoint: &Endpoint, context: &Context) -> Result<Self> {
        let connection = Connection::of(endpoint)?;
        let options = parse("source", &endpoint.options, SourceOptions::problems)?;
        let group = options.group.clone().unwrap_or_else(|| context.pipeline.clone());
        let what = options.pattern.clone().unwrap_or_else(|| options.topics.join(","));
        let describe = format!("kafka://{}/{what}", connection.bootstrap);
        let doing = during("the Kafka consumer can't be made");
        let mut settings = connection.settings(endpoint.secret.as_ref());
        settings
            .set("group.id", &*group)
            .set("enable.auto.commit", false)
            .set("enable.auto.offset.store", false)
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", 45_000)
            .set("heartbeat.interval.ms", 3000)
            .set("topic.metadata.refresh.interval.ms", 15_000)
            .set("check.crcs", true)
            // The library counts bytes of messages only, and each costs some 350 bytes beside them.
            .set("queued.min.messages", 20_000)
            .set("queued.max.messages.kbytes", 8192)
            .set("fetch.queue.backoff.ms", 20)
            .set("fetch.max.bytes", 4 << 20)
            .set("fetch.message.max.bytes", 1 << 20)
            .set("fetch.wait.max.ms", 250);
        let client = Client::consumer(&settings).map_err(&doing)?;
        let events = Queue::consumer(&client).map_err(&doing)?;
        let topics = options.pattern.map_or(options.topics, |p| vec![p]);
        client.subscribe(&topics).map_err(&doing)?;
        Ok(Self {
            describe,
            start: options.start,
            fetched: Fetched::new(&client),
            data: Queue::new(&client),
            events,
            group: Arc::new(Group::new(client.clone(), group)),
            client,
            offered: HashSet::new(),
            positions: HashMap::new(),
            unsure: HashSet::new(),
            again: HashMap::new(),
            doubtful: false,
            unheard: HashSet::new(),
            directed: Instant::now(),
            pins: VecDeque::new(),
            revoked: None,
        })
    }

    fn next_event(&mut self, wait: Duration) -> Result<Option<Polled>> {
        let mut wait = wait;
        while let Some(event) = self.events.event(std::mem::take(&mut wait)) {
            let told = match event {
                Event::Assign(list) => self.assigned(&list)?,
                Event::Revoke { list, lost } => self.revoked(&list, lost)?,
                Event::Error(fault) => {
                    self.judge(fault)?;
                    None
                }
                Event::Astray(topic, partition) => {
                    self.fetch_again(&Split::new(&topic, partition));
                    None
                }
                Event::Other => None,
            };
            if told.is_some() {
                return Ok(told);
            }
        }
        self.doubtful = false;
        Ok(None)
    }

    fn assigned(&mut self, list: &List) -> Result<Option<Polled>> {
        let splits = splits(list);
        if splits.is_empty() {
            self.client.assign_more(list).map_err(during("the assignment can't be taken"))?;
            return Ok(None);
        }
        self.offered.extend(splits.iter().cloned());
        Ok(Some(Polled::Assigned(splits)))
    }

    fn of_started(&self, splits: &[Split]) -> Result<List> {
        let mut list = List::new(splits.len());
        for split in splits.iter().filter(|s| self.positions.contains_key(*s)) {
            list.add(&split.topic, split.partition, 0, None).map_err(during("a list can't be made"))?;
        }
        Ok(list)
    }

    fn revoked(&mut self, list: &List, lost: bool) -> Result<Option<Polled>> {
        let splits = splits(list);
        // The library takes back only what it was told to read.
        let list = self.of_started(&splits)?;
        self.forget(&splits);
        if lost || self.doubtful || splits.is_empty() {
            self.group.disown(&splits);
            self.client.unassign(&list).map_err(during("partitions can't be let go of"))?;
            self.client.forget_lost();
            return Ok((!splits.is_empty()).then_some(Polled::Lost(splits)));
        }
        self.revoked = Some(Revoked { list, waiting: splits.iter().cloned().collect() });
        Ok(Some(Polled::Revoked(splits)))
    }

    /// Gives nothing more of these splits.
    fn forget(&mut self, splits: &[Split]) {
        for split in splits {
            self.offered.remove(split);
            self.positions.remove(split);
            self.unsure.remove(split);
            self.unheard.remove(split);
            self.again.remove(split);
        }
        self.pins.retain(|b| !splits.contains(b.split()));
        self.fetched
            .retain(|m| !splits.iter().any(|s| s.partition == m.partition() && &*s.topic == m.topic()));
    }

    /// Is an error one that the engine has to know of? A connection that is lost is not: the library makes a new one.
    fn judge(&self, fault: Fault) -> Result<()> {
        use Code as C;
        match fault.code {
            C::RD_KAFKA_RESP_ERR__TRANSPORT
            | C::RD_KAFKA_RESP_ERR__RESOLVE
            | C::RD_KAFKA_RESP_ERR__TIMED_OUT => {
                tracing::debug!("{}: {}", self.describe, fault.text);
                Ok(())
            }
            C::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
            | C::RD_KAFKA_RESP_ERR__AUTHENTICATION
            | C::RD_KAFKA_RESP_ERR__SSL
            | C::RD_KAFKA_RESP_ERR__FATAL
            | C::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | C::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
            | C::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION
            | C::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
            | C::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => Err(self.client.explain(fault).into()),
            _ => {
                tracing::warn!("{}: {}", self.describe, fault.text);
                Ok(())
            }
        }
    }

    /// The next run of messages of one split, or a move of its position.
    fn next_batch(&mut self, wait: Duration, room: usize) -> Result<Option<Batch>> {
        let mut wait = wait;
        loop {
            self.fetched.refill(&self.data, std::mem::take(&mut wait), TAKEN);
            let Some(message) = self.fetched.peek(0) else { return Ok(None) };
            let split = Split::new(message.topic(), message.partition());
            if self.again.contains_key(&split) {
                // One before it may have been lost: it comes again.
                self.fetched.skip(1);
                continue;
            }
            if message.code() != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                let (code, words) = (message.code(), message.error_text());
                self.fetched.skip(1);
                self.instead_of_a_message(&split, Fault::new(code, words))?;
                continue;
            }
            self.unsure.remove(&split);
            self.unheard.remove(&split);
            let (count, bytes) = run(&self.fetched, room);
            let made =
                self.positions.get_mut(&split).map(|at| collect(&self.fetched, split, at, (count, bytes)));
            self.fetched.skip(count);
            if let Some(batch) = made.filter(|b| b.next() > b.first()) {
                return Ok(Some(batch));
            }
        }
    }

    /// The library counts an error as a message: its own position is then behind the record that did not come, and must not be
    /// believed. Where it goes on behind what it can't read, the lane must end, or those records were passed over.
    fn instead_of_a_message(&mut self, split: &Split, fault: Fault) -> Result<()> {
        use Code as C;
        let Some(at) = self.positions.get(split).copied() else { return Ok(()) };
        match fault.code {
            C::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET | C::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE => {
                self.out_of_range(split, at)
            }
            C::RD_KAFKA_RESP_ERR__BAD_MSG
            | C::RD_KAFKA_RESP_ERR__BAD_COMPRESSION
            | C::RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED
            | C::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
            | C::RD_KAFKA_RESP_ERR_INVALID_MSG => {
                let words = format!("{split} at {at}: what the broker gave can't be read: {}", fault.text);
                Err(Error::new(ErrorKind::Other, words))
            }
            _ => {
                self.unsure.insert(split.clone());
                self.judge(fault)?;
                self.fetch_again(split);
                Ok(())
            }
        }
    }

    /// Where nothing comes, the library's own position may be further: control records and aborted records were passed over. (Its
    /// events at the end of a partition would tell as well, but with batches it then goes on one record too far, after
    /// a pause.)
    fn moved(&mut self) -> Result<Option<Batch>> {
        if self.fetched.left() > 0 || self.positions.is_empty() {
            return Ok(None);
        }
        let doing = during("positions can't be read");
        let mut list = List::new(self.positions.len());
        for split in self.positions.keys().filter(|s| !self.unsure.contains(*s)) {
            list.add(&split.topic, split.partition, 0, None).map_err(&doing)?;
        }
        self.client.positions(&list).map_err(&doing)?;
        for place in list.places() {
            let split = Split::new(&place.topic, place.partition);
            if let Some(at) = self.positions.get_mut(&split).filter(|at| **at < place.offset) {
                let batch = BatchBuilder::new(split, *at).finish(place.offset);
                *at = place.offset;
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Records at this position are gone (retention), or the topic is another one than it was.
    fn out_of_range(&mut self, split: &Split, at: i64) -> Result<()> {
        let doing = during("a position that is out of range");
        let (low, high) =
            self.client.query_watermarks(&split.topic, split.partition, ANSWER).map_err(&doing)?;
        if at > high {
            let words = format!(
                "{split} ends at {high}, before the position {at}: the topic was truncated or made anew"
            );
            return Err(Error::new(ErrorKind::Changed, words));
        }
        tracing::warn!(
            "{split}: records {at} to {low} were deleted before they were read; going on at {low}"
        );
        self.restart(split, at.max(low));
        Ok(())
    }
}

fn splits(list: &List) -> Vec<Split> {
    list.places().iter().map(|p| Split::new(&p.topic, p.partition)).collect()
}

impl RecordSource for KafkaSource {
    fn describe(&self) -> String {
        self.describe.clone()
    }

    fn poll(&mut self, wait: Duration, room: usize) -> Result<Polled> {
        self.direct_again();
        if let Some(told) = self.next_event(if room == 0 { wait } else { Duration::ZERO })? {
            return Ok(told);
        }
        self.start_again()?;
        if room == 0 {
            return Ok(Polled::Idle);
        }
        if let Some(pin) = self.pins.pop_front() {
            return Ok(Polled::Batch(pin));
        }
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.direct_again();
            if let Some(batch) = self.next_batch(left.min(SLICE), room)? {
                return Ok(Polled::Batch(batch));
            }
            if let Some(told) = self.next_event(Duration::ZERO)? {
                return Ok(told);
            }
            self.start_again()?;
            if let Some(batch) = self.moved()? {
                return Ok(Polled::Batch(batch));
            }
            if left.is_zero() {
                return Ok(Polled::Idle);
            }
        }
    }

    fn start(&mut self, splits: &[(Split, Option<i64>)]) -> Result<()> {
        let doing = during("partitions can't be started");
        // What was lost after it was offered is another member's.
        let splits: Vec<_> = splits.iter().filter(|(s, _)| self.offered.contains(s)).cloned().collect();
        if splits.is_empty() {
            return Ok(());
        }
        let places = start::places(&self.client, &splits, self.start)?;
        let mut list = List::new(places.len());
        for (split, offset, _) in &places {
            list.add(&split.topic, split.partition, *offset, None).map_err(&doing)?;
            self.data.take_partition(&split.topic, split.partition).map_err(&doing)?;
        }
        self.client.assign_more(&list).map_err(&doing)?;
        for (split, ..) in &places {
            // Once more, in case the assignment has made the partition's queue anew.
            self.data.take_partition(&split.topic, split.partition).map_err(&doing)?;
        }
        for (split, offset, by_rule) in places {
            if by_rule {
                self.pins.push_back(BatchBuilder::new(split.clone(), offset).finish(offset));
            }
            self.group.own(&split);
            self.unheard.insert(split.clone());
            self.positions.insert(split, offset);
        }
        Ok(())
    }

    fn release(&mut self, splits: &[Split]) -> Result<()> {
        self.group.disown(splits);
        let Some(revoked) = &mut self.revoked else { return Ok(()) };
        for split in splits {
            revoked.waiting.remove(split);
        }
        if revoked.waiting.is_empty()
            && let Some(revoked) = self.revoked.take()
        {
            self.client.unassign(&revoked.list).map_err(during("partitions can't be handed over"))?;
        }
        Ok(())
    }

    fn commit(&mut self, positions: &[(Split, i64, String)]) -> Result<()> {
        let doing = during("offsets can't be committed");
        let mut list = List::new(positions.len());
        for (split, next, words) in positions.iter().filter(|(s, _, _)| self.group.owns(s)) {
            list.add(&split.topic, split.partition, *next, Some(words)).map_err(&doing)?;
        }
        if list.len() == 0 {
            return Ok(());
        }
        self.client.commit(&list, ANSWER).map_err(&doing)
    }

    fn end(&self, split: &Split) -> Option<i64> {
        self.client.watermarks(&split.topic, split.partition).map(|(_, high)| high)
    }

    fn group(&self) -> Option<GroupToken> {
        Some(GroupToken(self.group.clone()))
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.group.disown_all();
        self.fetched.retain(|_| false);
        self.client.close();
    }
}
