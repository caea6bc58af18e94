//! A store, a log, a table and a supervisor between them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector::Result;
use connector::records::{Batch, Context, ErrorDirectory, RecordRef, RecordSink, RecordSource, SharedHost};
use engine::dispatch::Lease;
use engine::pipeline::{Catalogue, Emit, Ends, Pauses, Settings, Step, Supervisor};
use model::{
    AccountId, EndKind, Ledger, OnFailure, Pipeline, PipelineDirection, PipelineEnd, PipelineId,
    PipelineStatus, Timestamp,
};
use runtime::{ByteBudget, Clock, Random};

use super::aside::Errors;
use super::desk::Store;
use super::log::Log;
use super::table::{Habits, Table};

/// One pipeline's ends.
#[derive(Clone)]
pub struct Way {
    pub log: Log,
    pub table: Table,
    pub copies: Table,
    pub habits: Habits,
    pub transform: bool,
    pub errors: Errors,
}

impl Way {
    pub fn new(partitions: i32) -> Self {
        Self {
            log: Log::new("t", partitions),
            table: Table::default(),
            copies: Table::default(),
            habits: Habits::default(),
            transform: false,
            errors: Errors::default(),
        }
    }
}

pub struct World {
    pub store: Store,
    pub supervisor: Supervisor,
    pub budget: ByteBudget,
}

/// What a test may set.
pub struct Setup {
    pub budget: u64,
    pub lease: Lease,
    pub lanes: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self { budget: 16 << 20, lease: Lease::default(), lanes: 3 }
    }
}

pub fn keep() -> OnFailure {
    OnFailure::Keep { copy: None, retries: 0, interval_ms: 0 }
}

pub fn end() -> PipelineEnd {
    PipelineEnd {
        kind: EndKind::Kafka,
        connection: None,
        address: String::new(),
        secret: None,
        options: "{}".to_owned(),
    }
}

pub fn pipeline(id: &str, rule: &OnFailure) -> Pipeline {
    Pipeline {
        id: PipelineId(id.to_owned()),
        account: AccountId("a".to_owned()),
        name: id.to_owned(),
        description: String::new(),
        direction: PipelineDirection::Sink,
        source: end(),
        sink: end(),
        transform: None,
        on_failure: rule.clone(),
        on_refusal: rule.clone(),
        lanes: None,
        bytes_per_s: None,
        records_per_s: None,
        status: PipelineStatus::Creating,
        error: None,
        ledger: Ledger::default(),
        attempt: 0,
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        created: Timestamp(1),
        deleted: None,
    }
}

impl World {
    pub async fn start(ways: Vec<(Pipeline, Way)>, setup: Setup) -> Self {
        let store = Store::default();
        let mut all = BTreeMap::new();
        for (p, way) in ways {
            all.insert(p.id.0.clone(), way.clone());
            // What goes aside moves the journal past the table.
            let aside = matches!(p.on_refusal, OnFailure::Aside { .. });
            store.add(p, (way.habits.keeps_marks && !aside).then_some(way.table));
        }
        Self::again(store, all, setup).await
    }

    pub async fn again(store: Store, ways: BTreeMap<String, Way>, setup: Setup) -> Self {
        let budget = ByteBudget::new(setup.budget);
        let settings = Settings {
            pipelines: Arc::new(store.clone()),
            desk: Arc::new(store.clone()),
            catalogue: Arc::new(Ways(ways)),
            clock: Clock::system(),
            random: Random::system(),
            budget: budget.clone(),
            concurrent: 4,
            lanes: setup.lanes,
            spare_lanes: 4,
            lease: setup.lease,
            pauses: Pauses { first: Duration::from_millis(20), last: Duration::from_millis(200) },
        };
        let supervisor = Supervisor::start(settings).await.unwrap();
        Self { store, supervisor, budget }
    }

    pub async fn one(id: &str, rule: &OnFailure, way: &Way) -> (Self, PipelineId) {
        let p = pipeline(id, rule);
        let id = p.id.clone();
        (Self::start(vec![(p, way.clone())], Setup::default()).await, id)
    }

    /// Waits until the journal has everything that is in the log.
    pub async fn drained(&self, id: &PipelineId, way: &Way) {
        for split in way.log.splits() {
            let end = way.log.end(&split);
            until(&format!("{split} drained"), || {
                end == 0 || self.store.mark(id, &split).is_some_and(|m| m.next >= end)
            })
            .await;
        }
    }
}

/// Waits for something that has to happen.
pub async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}

pub struct Ways(pub BTreeMap<String, Way>);

#[async_trait]
impl Catalogue for Ways {
    async fn resolve(&self, p: &Pipeline) -> Result<Arc<dyn Ends>> {
        Ok(Arc::new(self.0[&p.id.0].clone()))
    }
}

impl Ends for Way {
    fn splits(&self) -> Result<Option<usize>> {
        Ok(Some(self.log.splits().len()))
    }

    fn source(&self, _: &Context) -> Result<Box<dyn RecordSource>> {
        Ok(self.log.source())
    }

    fn step(&self) -> Result<Option<Box<dyn Step>>> {
        Ok(self.transform.then(|| Box::new(ByWord) as Box<dyn Step>))
    }

    fn sink(&self, _: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
        Ok(self.table.sink(self.habits, host))
    }

    fn copy(&self, _: &PipelineEnd, _: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
        Ok(self.copies.sink(Habits { keeps_marks: false, ..Habits::default() }, host))
    }

    fn errors(&self, _: &PipelineEnd, _: &Context) -> Result<Rc<dyn ErrorDirectory>> {
        Ok(Rc::new(self.errors.clone()))
    }
}

/// What a transform does, by the first word of a value: `filter`, `fail`, `three` records, anything else gets a `!`.
struct ByWord;

impl Step for ByWord {
    fn apply(&mut self, batch: &Batch, _: i64, out: &mut dyn Emit) {
        for (i, r) in batch.iter().enumerate() {
            let made = transformed(r.value.unwrap_or_default());
            match made {
                Made::Filtered => out.filtered(i),
                Made::Failed => out.failed(i, "word", format_args!("a word that fails")),
                Made::Into(values) => {
                    values.iter().for_each(|v| out.put(i, &RecordRef { value: Some(v), ..r }));
                }
            }
        }
    }
}

pub enum Made {
    Filtered,
    Failed,
    Into(Vec<Vec<u8>>),
}

/// The transform as the reference model has it.
pub fn transformed(value: &[u8]) -> Made {
    if value.starts_with(b"filter") {
        Made::Filtered
    } else if value.starts_with(b"fail") {
        Made::Failed
    } else if value.starts_with(b"three") {
        Made::Into((0..3).map(|n| [value, if n == 1 { b" one" } else { b" two" }].concat()).collect())
    } else {
        Made::Into(vec![[value, b"!"].concat()])
    }
}
