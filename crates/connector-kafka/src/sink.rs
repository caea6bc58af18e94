//! The sink: rounds of units, each a transaction with the positions in it.
//!
//! The lane's thread only hands records to the library; the end of a transaction is waited for on a thread of the pool, while units that come
//! meanwhile are kept for the next one. A transaction that fails but may be done again (a rebalance, a broker that
//! restarts, a record that is refused) is aborted and written anew from its units, which are kept until it is committed.
//!
//! Fencing: the transactional id is `wharf-<pipeline>-<lane>`, so a newer run of the lane ends what an older one left open
//! and refuses what it writes later. On the source's own cluster the group's coordinator checks the member as well.

mod again;
mod committed;
mod positions;
mod produce;
mod round;
mod route;
mod target;
mod writer;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{
    Books, Context, Endpoint, GroupToken, Mark, RecordSink, Settled, SharedHost, Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use runtime::TaskKind;
use tokio::task::JoinHandle;

use crate::fault::during;
use crate::options::{Connection, SinkOptions, parse};
use crate::raw::{Client, Code, Fault, Settings};
use crate::source::Group;
use round::Round;
use route::Routes;
use target::Targets;
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
    batch: u32,
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
            true => Keeping::Topic { pipeline: pipeline.clone(), topic: None, source: None },
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
        }
        // Also where somebody else has waited for the round: what came later must not pass what waits.
        self.resume().await
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
        self.resume().await
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
            (Some(_), Some(_)) => {
                if let Keeping::Topic { source, .. } = &mut self.keeping {
                    *source = Some(group);
                }
                false
            }
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
