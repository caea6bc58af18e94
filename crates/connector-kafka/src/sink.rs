//! The sink: rounds of units, each a transaction with the positions in it.
//!
//! The lane's thread only hands records to the library; the end of a transaction is waited for on a thread of the pool, while units that come
//! meanwhile are kept for the next one. A transaction that fails but may be done again (a rebalance, a broker that
//! restarts, a record that is refused) is aborted and written anew from its units, which are kept until it is committed.
//!
//! Fencing: the transactional id is `wharf-<pipeline>-<lane>`, so a newer run of the lane ends what an older one left open
//! and refuses what it writes later. On the source's own cluster the group's coordinator checks the member as well.

mod again;
mod positions;
mod round;
mod route;
mod target;
mod writer;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{
    Books, Context, Endpoint, GroupToken, Mark, RecordSink, Refused, Settled, SharedHost, Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use runtime::TaskKind;
use tokio::task::JoinHandle;

use crate::fault::{during, of_record};
use crate::options::{Connection, SinkOptions, parse};
use crate::raw::{Client, Code, Fault, List, Outgoing, Settings};
use crate::source::Group;
use round::Round;
use route::Routes;
use target::{Making, Target, Targets};
use writer::{Keeping, Trouble};

/// Waits for the cluster's name take this long at most.
const NAMING: Duration = Duration::from_secs(10);

/// A destination of records in Kafka.
pub struct KafkaSink {
    describe: String,
    pipeline: String,
    transactional: Option<String>,
    /// What every client of the cluster has set.
    base: Settings,
    options: SinkOptions,
    routes: Routes,
    host: SharedHost,
    targets: Targets,
    keeping: Keeping,
    client: Arc<Client>,
    /// Bytes of a batch at most, as the client is set.
    batch: usize,
    /// Were older owners fenced?
    fenced: bool,
    /// Is there an open transaction?
    begun: bool,
    books: Books,
    open: Round,
    /// The transaction that is open has failed already.
    spoiled: Option<Fault>,
    closing: Option<Closing>,
    waiting: VecDeque<Unit>,
    waiting_bytes: u64,
    settled: HashMap<Split, Mark>,
    /// To be told at the next call.
    trouble: Option<Error>,
    /// A call has failed: what is open here must not become part of a transaction any more.
    ended: bool,
}

/// A round whose end is waited for.
struct Closing {
    task: JoinHandle<Result<Result<(), Trouble>, String>>,
    round: Round,
    marks: Vec<(Split, Mark)>,
}

/// Where the records of a unit go.
enum Plan {
    Whole(Target),
    Each(Vec<Option<Target>>),
}

/// Makes a sink. It asks nobody yet.
///
/// # Errors
/// `Unacceptable` for options that [`check_sink`](crate::check_sink) names problems of.
pub fn sink(endpoint: &Endpoint, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
    Ok(Box::new(KafkaSink::new(endpoint, context, host)?))
}

impl KafkaSink {
    /// As [`sink`].
    ///
    /// # Errors
    /// As [`sink`].
    pub fn new(endpoint: &Endpoint, context: &Context, host: SharedHost) -> Result<Self> {
        let connection = Connection::of(endpoint)?;
        let options: SinkOptions = parse("sink", &endpoint.options, SinkOptions::problems)?;
        let routes = Routes::of(&options);
        let what = match &routes {
            Routes::One(topic) => topic.clone(),
            Routes::Named(start) => format!("{start}*"),
            Routes::Tables { .. } => "by table".to_owned(),
        };
        let base = connection.settings(endpoint.secret.as_ref());
        let transactional =
            options.exactly_once.then(|| format!("wharf-{}-{}", context.pipeline, context.lane));
        let pipeline = context.pipeline.clone();
        let keeping = match options.exactly_once {
            true => Keeping::Topic { pipeline: pipeline.clone(), topic: None },
            false => Keeping::Nowhere,
        };
        let compression = options.compression.as_deref().unwrap_or("none");
        let settings = writer::settings(base.clone(), transactional.as_deref(), compression, writer::BATCH);
        Ok(Self {
            describe: format!("kafka {}/{what}", connection.bootstrap),
            client: Client::producer(&settings).map_err(during("the Kafka producer can't be made"))?,
            pipeline,
            transactional,
            base,
            options,
            routes,
            host,
            targets: Targets::new(),
            keeping,
            batch: writer::BATCH,
            fenced: false,
            begun: false,
            books: Books::default(),
            open: Round::default(),
            spoiled: None,
            closing: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            settled: HashMap::new(),
            trouble: None,
            ended: false,
        })
    }

    fn compressed(&self) -> bool {
        self.options.compression.as_deref().is_some_and(|c| c != "none")
    }

    /// Runs a blocking call on a thread of the pool.
    async fn block<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Arc<Client>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let client = self.client.clone();
        runtime::blocking(move || call(&client)).await.map_err(|e| Error::new(ErrorKind::Other, e))?
    }

    async fn fence(&mut self) -> Result<()> {
        if self.transactional.is_some() && !self.fenced {
            self.block(|client| writer::fence(client)).await?;
            self.fenced = true;
        }
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        if let Some(e) = self.trouble.take() {
            self.ended = true;
            return Err(e);
        }
        if self.ended {
            return Err(Error::new(ErrorKind::Cancelled, "this sink has failed before"));
        }
        Ok(())
    }

    fn note<T>(&mut self, done: Result<T>) -> Result<T> {
        self.ended |= done.is_err();
        done
    }

    /// Finds the topics of a unit, and makes the client anew where one takes smaller batches than it sends.
    async fn plan(&mut self, index: usize, unit: &Unit) -> Result<Plan> {
        let split = unit.batch.split();
        if let Some(name) = self.routes.whole(split) {
            let name = name.into_owned();
            return Ok(Plan::Whole(self.target(&name, split.partition).await?));
        }
        let mut plan = Vec::with_capacity(unit.batch.len());
        for (i, record) in unit.batch.iter().enumerate() {
            if !self.open.wants(index, i) {
                plan.push(None);
                continue;
            }
            let name = match self.routes.single(i, &record) {
                Ok(name) => name.to_owned(),
                Err(refused) => {
                    self.open.refuse(index, refused);
                    plan.push(None);
                    continue;
                }
            };
            plan.push(Some(self.target(&name, split.partition).await?));
        }
        Ok(Plan::Each(plan))
    }

    async fn target(&mut self, name: &str, partition: i32) -> Result<Target> {
        let least = if self.options.keep_partition { partition.saturating_add(1) } else { 1 };
        if let Some(target) = self.targets.get(name).filter(|t| t.rules.partitions >= least) {
            return Ok(target.clone());
        }
        let making = Making { allowed: self.options.create, partitions: self.options.create_partitions };
        let wanted = name.to_owned();
        let target = self.block(move |client| target::look_up(client, &wanted, making, least)).await?;
        if target.rules.partitions < least {
            let words = format!(
                "topic {name} has {} partitions, fewer than the source: partition {partition} can't be kept",
                target.rules.partitions
            );
            return Err(Error::new(ErrorKind::Unacceptable, words));
        }
        self.targets.insert(name, target.clone());
        Ok(target)
    }

    /// Gives a unit to the library, in the open transaction.
    async fn take(&mut self, unit: Unit) -> Result<()> {
        let index = self.open.push(unit.clone());
        let mut plan = self.plan(index, &unit).await?;
        if self.targets.smallest().is_some_and(|max| max < self.batch) {
            // Rare: the first unit for a topic with a small bound.
            self.shrink().await?;
            plan = self.plan(index, &unit).await?;
        }
        self.begin()?;
        self.produce_unit(index, &unit, &plan).await
    }

    fn begin(&mut self) -> Result<()> {
        if self.transactional.is_some() && !self.begun {
            self.client.begin_transaction().map_err(during("a transaction can't be begun"))?;
            self.begun = true;
        }
        Ok(())
    }

    async fn produce_unit(&mut self, index: usize, unit: &Unit, plan: &Plan) -> Result<()> {
        let (compressed, copies) = (self.compressed(), self.options.copies);
        let partition = self.options.keep_partition.then_some(unit.batch.split().partition);
        let checked = !self.open.refused.is_empty() || self.open.only.is_some();
        for (i, record) in unit.batch.iter().enumerate() {
            let target = match plan {
                Plan::Whole(target) => target,
                Plan::Each(all) => match all.get(i).and_then(Option::as_ref) {
                    Some(target) => target,
                    None => continue,
                },
            };
            if self.spoiled.is_some() {
                return Ok(());
            }
            if checked && !self.open.wants(index, i) {
                continue;
            }
            let weight = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            let weight = if record.headers.count_left() == 0 { weight } else { record.weight() as usize };
            if let Some(reason) = target::objection(&target.rules, weight, record.key.is_some(), compressed) {
                self.open.refuse(index, Refused { index: i, kind: ErrorKind::Unacceptable, reason });
                continue;
            }
            let outgoing = Outgoing {
                partition,
                key: record.key,
                value: record.value,
                timestamp_ms: record.timestamp_ms,
                headers: record.headers,
                tag: round::tag(index, i),
            };
            for _ in 0..copies {
                self.produce(target, &outgoing, index, i).await?;
            }
        }
        Ok(())
    }

    async fn produce(
        &mut self,
        target: &Target,
        outgoing: &Outgoing<'_>,
        unit: usize,
        record: usize,
    ) -> Result<()> {
        loop {
            let Err(fault) = self.client.produce(&target.topic, outgoing) else { return Ok(()) };
            if fault.code == Code::RD_KAFKA_RESP_ERR__QUEUE_FULL {
                self.client.poll(Duration::ZERO);
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
            if of_record(fault.code) {
                let refused = Refused { index: record, kind: ErrorKind::Unacceptable, reason: fault.text };
                self.open.refuse(unit, refused);
                return Ok(());
            }
            if fault.fatal || self.transactional.is_none() {
                return Err(during("a record can't be written")(self.client.explain(fault)));
            }
            // The transaction is over; its end will say so again.
            self.spoiled = Some(fault);
            return Ok(());
        }
    }

    /// Begins to end the open round.
    async fn close_round(&mut self) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        // A round of empty batches has no record, but a position.
        self.begin()?;
        let round = std::mem::take(&mut self.open);
        let marks = round.marks(&self.books, &*self.host).await?;
        let (client, keeping, positions) = (self.client.clone(), self.keeping.clone(), marks.clone());
        let spoiled = self.spoiled.take();
        let end = runtime::blocking(move || match spoiled {
            Some(fault) => Err(Trouble::Again { fault, failed: client.take_failed() }),
            None => writer::commit(&client, &keeping, &positions),
        });
        let task = runtime::spawn_local(TaskKind::LaneWork, end);
        self.closing = Some(Closing { task, round, marks });
        Ok(())
    }

    /// Waits for the end of the round that is being ended.
    async fn finish(&mut self) -> Result<()> {
        let Some(closing) = self.closing.take() else { return Ok(()) };
        let ended = closing.task.await.map_err(|e| Error::new(ErrorKind::Other, e.to_string()))?;
        match ended.map_err(|e| Error::new(ErrorKind::Other, e))? {
            Ok(()) => {
                self.begun = false;
                self.settle(closing.marks);
                Ok(())
            }
            Err(Trouble::Over(e)) => Err(e),
            Err(Trouble::Again { fault, failed }) => self.again(closing.round, fault, failed).await,
        }
    }

    fn settle(&mut self, marks: Vec<(Split, Mark)>) {
        for (split, mark) in marks {
            self.books.settle(&split, mark);
            self.settled.insert(split, mark);
        }
    }

    /// Goes on with what has come while a round was being ended.
    async fn resume(&mut self) -> Result<()> {
        while self.closing.is_none() {
            let Some(unit) = self.waiting.pop_front() else { return Ok(()) };
            self.waiting_bytes = self.waiting_bytes.saturating_sub(unit.batch.held());
            self.take(unit).await?;
            if self.open.is_full() {
                self.close_round().await?;
            }
        }
        Ok(())
    }

    async fn finish_if_done(&mut self) -> Result<()> {
        if self.closing.as_ref().is_some_and(|c| c.task.is_finished()) {
            self.finish().await?;
            self.resume().await?;
        }
        Ok(())
    }

    /// Forgets what is not settled of splits that are lost.
    async fn let_go(&mut self, splits: &[Split]) -> Result<()> {
        let gone = |s: &Split| splits.contains(s);
        self.waiting.retain(|u| !gone(u.batch.split()));
        self.waiting_bytes = self.waiting.iter().map(|u| u.batch.held()).sum();
        if let Some(closing) = &self.closing
            && closing.round.units.iter().any(|u| gone(u.batch.split()))
        {
            // It may have been committed in time, or is done again without what the source has lost.
            self.finish().await?;
        }
        if self.open.units.iter().any(|u| gone(u.batch.split())) {
            self.drop_open(splits).await?;
        }
        Ok(())
    }

    async fn read_committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
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
                self.keeping = Keeping::Topic { pipeline: self.pipeline.clone(), topic: Some(topic) };
                Ok(marks)
            }
        }
    }

    async fn take_or_keep(&mut self, unit: Unit) -> Result<()> {
        self.finish_if_done().await?;
        while self.closing.is_some() && self.waiting_bytes >= round::BYTES {
            self.finish().await?;
            self.resume().await?;
        }
        if self.closing.is_some() {
            self.waiting_bytes += unit.batch.held();
            self.waiting.push_back(unit);
            return Ok(());
        }
        self.take(unit).await?;
        if self.open.is_full() {
            self.close_round().await?;
        }
        Ok(())
    }

    async fn move_on(&mut self) -> Result<()> {
        self.client.poll(Duration::ZERO);
        self.finish_if_done().await?;
        if self.closing.is_none() && self.open.is_due() {
            self.close_round().await?;
        }
        Ok(())
    }

    async fn finish_all(&mut self) -> Result<()> {
        loop {
            self.finish().await?;
            self.resume().await?;
            if self.closing.is_none() && self.open.is_empty() {
                return Ok(());
            }
            if self.closing.is_none() {
                self.close_round().await?;
            }
        }
    }
}

#[async_trait(?Send)]
impl RecordSink for KafkaSink {
    fn describe(&self) -> String {
        self.describe.clone()
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        self.check()?;
        let done = self.read_committed(known).await;
        self.note(done)
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        for (split, mark) in splits {
            self.books.open(split.clone(), *mark);
        }
        self.check()
    }

    async fn close(&mut self, splits: &[Split]) {
        if let Err(e) = self.let_go(splits).await {
            self.trouble = Some(e);
        }
        for split in splits {
            self.books.close(split);
        }
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        self.check()?;
        let done = self.take_or_keep(unit).await;
        self.note(done)
    }

    async fn tick(&mut self) -> Result<()> {
        self.check()?;
        let done = self.move_on().await;
        self.note(done)
    }

    async fn flush(&mut self) -> Result<()> {
        self.check()?;
        let done = self.finish_all().await;
        self.note(done)
    }

    fn settled(&mut self) -> Vec<Settled> {
        self.settled.drain().map(|(split, mark)| Settled { split, mark }).collect()
    }

    fn join(&mut self, group: GroupToken) -> bool {
        if self.transactional.is_none() {
            return false;
        }
        let Ok(group) = group.0.downcast::<Group>() else { return false };
        match (self.client.cluster_id(NAMING), group.client().cluster_id(NAMING)) {
            (Some(here), Some(there)) if here == there => {
                self.keeping = Keeping::Group(group);
                true
            }
            (Some(_), Some(_)) => false,
            // Where positions are kept must not depend on who could be reached.
            _ => {
                let vague = Fault::of(Code::RD_KAFKA_RESP_ERR__TIMED_OUT);
                self.trouble = Some(during("the clusters of source and sink can't be told apart")(
                    self.client.explain(vague),
                ));
                false
            }
        }
    }
}

/// What the source's group committed: the mark if there is one, and the offset.
fn group_marks(group: &Group, splits: &[Split]) -> Result<Vec<Option<(Option<Mark>, i64)>>> {
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
