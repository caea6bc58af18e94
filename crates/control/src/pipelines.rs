//! Pipelines: made, watched, paused, restarted, deleted. What is sent into one is in `messages`.

use std::sync::Arc;

use model::{EndKind, Pipeline, PipelineEnd, PipelineId, PipelineStatus};
use runtime::TaskKind;
use serde_json::Value;
use store::{PipelineNeeds, PipelineOrder};

use crate::ends::{
    KafkaSink, KafkaSource, aside_of, check_name, check_words, copy_of, page_of, refuse_problems, taken,
    with_option,
};
use crate::flows::check_attributes;
use crate::nouns::{DUMP, SYNC};
use crate::{
    Caller, Control, Error, ErrorKind, NewPipeline, NewRecord, Noun, PipelineChange, PipelineFilter, Result,
    SyncKind, Transformed,
};

/// Longest name, in bytes: the product's 64 characters may be any.
const MAX_NAME: usize = 256;
/// Lanes that may be asked for.
const MAX_LANES: u32 = 1024;
/// Longest JSON of an end or a transform, in bytes.
const MAX_TEXT: usize = 256 * 1024;

/// The `datahub-…` that belongs to a `task-…`.
#[must_use]
pub fn datahub_id(id: &PipelineId) -> String {
    format!("datahub-{}", id.as_str().trim_start_matches("task-"))
}

/// The pipeline that a `datahub-…` (or a `task-…`) names.
#[must_use]
pub fn pipeline_of(datahub: &str) -> PipelineId {
    PipelineId(match datahub.strip_prefix("datahub-") {
        Some(suffix) => format!("task-{suffix}"),
        None => datahub.to_owned(),
    })
}

/// Does a worker move its records? Others are changed at once, whatever is asked of them.
pub(crate) fn is_worked(p: &Pipeline) -> bool {
    p.source.kind != EndKind::Http && SyncKind::of(p) != Some(SyncKind::Meta)
}

impl Control {
    /// Makes a pipeline. Both ends, the transform and where failed records go are checked without I/O (all problems are told at once), and
    /// the topics that it reads have to be there; whether the destination can be reached is seen when it runs.
    ///
    /// # Errors
    /// `Exists(Pipeline)` the name is taken; `NotFound(Connection | Topic | Bucket)`; `Invalid`, with `field` `source`, `sink`,
    /// `transform`, `name`, …; `LimitExceeded`; `Unsupported` a connection of a product without a connector.
    pub async fn create_pipeline(&self, c: &Caller, new: NewPipeline) -> Result<Pipeline> {
        let p = self.checked_pipeline(c, new)?;
        self.check_ends(c, &p).await?;
        self.refuse_taken_pipeline(&p).await?;
        self.refuse_unnamed(c, &p).await?;
        self.check_topics(c, &p).await?;
        let worked = is_worked(&p);
        let topics = self.needed_topics(c, &p).await?;
        let needs = PipelineNeeds { worked, topics, ..self.needs() };
        self.store_pipeline(p, needs).await
    }

    /// What every pipeline needs.
    pub(crate) fn needs(&self) -> PipelineNeeds {
        let per_account = self.0.limits.pipelines_per_account;
        PipelineNeeds { worked: true, per_account, ..PipelineNeeds::default() }
    }

    /// Stores a checked pipeline and starts it.
    pub(crate) async fn store_pipeline(&self, mut p: Pipeline, needs: PipelineNeeds) -> Result<Pipeline> {
        for _ in 0..4 {
            match self.0.store.insert_pipeline(&p, &needs).await {
                Ok(()) => {
                    self.begin(&p);
                    return Ok(p);
                }
                Err(e) if e.kind() == store::ErrorKind::Exists => {
                    self.refuse_taken_pipeline(&p).await?;
                    p.id = self.new_pipeline_id();
                }
                // What it needs was removed this very moment.
                Err(e) if e.kind() == store::ErrorKind::Conflict => {
                    return Err(Error::new(ErrorKind::NotFound(Noun::Connection), e.message()));
                }
                Err(e) => return Err(e.into()),
            }
        }
        Err(Error::new(ErrorKind::Internal, "no free id was found"))
    }

    fn new_pipeline_id(&self) -> PipelineId {
        PipelineId(format!("task-{}", self.0.random.base36(8)))
    }

    /// Starts what a new pipeline starts with.
    fn begin(&self, p: &Pipeline) {
        if SyncKind::of(p).is_some() {
            let (control, id) = (self.clone(), p.id.clone());
            drop(runtime::spawn(TaskKind::Housekeeping, async move {
                control.reconcile(&id).await;
                control.0.dispatch.wake_pipelines();
            }));
        }
        if is_worked(p) {
            self.0.dispatch.wake_pipelines();
        }
    }

    pub(crate) fn checked_pipeline(&self, c: &Caller, new: NewPipeline) -> Result<Pipeline> {
        let mut p = Pipeline {
            id: self.new_pipeline_id(),
            account: c.account.clone(),
            name: new.name,
            description: new.description,
            direction: new.direction,
            source: new.source,
            sink: new.sink,
            transform: new.transform,
            on_failure: new.on_failure,
            on_refusal: new.on_refusal,
            lanes: new.lanes,
            bytes_per_s: new.bytes_per_s,
            records_per_s: new.records_per_s,
            status: PipelineStatus::Creating,
            error: None,
            ledger: model::Ledger::default(),
            attempt: 0,
            attributes: new.attributes,
            tags: new.tags,
            created: self.now(),
            deleted: None,
        };
        p.attributes.remove(SYNC);
        p.attributes.remove(DUMP);
        if let Some(sync) = new.sync {
            self.make_sync(&mut p, sync)?;
        }
        if !is_worked(&p) {
            p.status = PipelineStatus::Running;
        }
        self.check_terms(&p)?;
        Ok(p)
    }

    fn make_sync(&self, p: &mut Pipeline, sync: SyncKind) -> Result<()> {
        if p.source.kind != EndKind::Kafka || p.sink.kind != EndKind::Kafka || p.transform.is_some() {
            let message = "a sync leads from one Kafka cluster to another, without a transform";
            return Err(Error::new(ErrorKind::Invalid, message).field("sync"));
        }
        p.attributes.insert(SYNC.to_owned(), sync.name().to_owned());
        if sync != SyncKind::Meta {
            // Positions of groups can only be carried over where partitions stay what they are.
            p.sink.options = with_option(&p.sink.options, "keep_partition", Value::Bool(true));
        }
        Ok(())
    }

    fn check_terms(&self, p: &Pipeline) -> Result<()> {
        check_name(&p.name, MAX_NAME, "name")?;
        check_words(&p.description, "description")?;
        check_attributes(&p.attributes)?;
        check_attributes(&p.tags)?;
        let refuse = |message: &str, field| Err(Error::new(ErrorKind::Invalid, message).field(field));
        if p.lanes.is_some_and(|n| n == 0 || n > MAX_LANES) {
            return refuse("1 to 1024 lanes can be asked for", "lanes");
        }
        if p.bytes_per_s == Some(0) || p.records_per_s == Some(0) {
            return refuse("a rate of 0 moves nothing: pause the pipeline instead", "rate");
        }
        let aside = aside_of(&p.on_refusal);
        let ends = [Some(&p.source), Some(&p.sink), copy_of(&p.on_failure), copy_of(&p.on_refusal), aside];
        let long = |e: &PipelineEnd| e.options.len() > MAX_TEXT || e.address.len() > MAX_TEXT;
        if ends.into_iter().flatten().any(long) || p.transform.as_ref().is_some_and(|t| t.len() > MAX_TEXT) {
            return Err(Error::new(ErrorKind::LimitExceeded, "the options or the transform are too long"));
        }
        if aside_of(&p.on_failure).is_some() || (aside.is_some() && p.transform.is_some()) {
            return refuse("an error directory takes records as they were read: no transform", "on_refusal");
        }
        if p.sink.kind == EndKind::Http {
            return refuse("nothing can be written to an HTTP source", "sink");
        }
        if p.source.kind == EndKind::Http && p.sink.kind != EndKind::Kafka {
            return refuse("what is sent over HTTP goes into a topic", "sink");
        }
        for (end, field) in [(Some(&p.sink), "sink"), (copy_of(&p.on_failure), "on_failure")] {
            let Some(end) = end.filter(|_| p.source.kind == EndKind::Http) else { continue };
            if !KafkaSink::of(&end.options).is_one_topic() {
                let message = "what is sent over HTTP is written once, into one topic: it has no table, topic or partition of its own";
                return refuse(message, field);
            }
        }
        Ok(())
    }

    /// Everything that can be checked without asking the systems behind the ends.
    pub(crate) async fn check_ends(&self, c: &Caller, p: &Pipeline) -> Result<()> {
        let streams = &self.0.streams;
        if p.source.kind != EndKind::Http {
            let problems = streams.check_source(p.source.kind, &p.source.options);
            self.check_end(c, (&p.source, "source"), problems).await?;
        }
        let problems = streams.check_sink(p.sink.kind, &p.sink.options);
        self.check_end(c, (&p.sink, "sink"), problems).await?;
        for (policy, field) in [(&p.on_failure, "on_failure"), (&p.on_refusal, "on_refusal")] {
            if let Some(copy) = copy_of(policy) {
                let mut problems = streams.check_sink(copy.kind, &copy.options);
                if copy.kind != EndKind::Kafka {
                    let reason = "copies go to a topic".to_owned();
                    problems.push(connector::records::Problem { field: String::new(), reason });
                }
                self.check_end(c, (copy, field), problems).await?;
            }
        }
        if let Some(aside) = aside_of(&p.on_refusal) {
            let problems = streams.check_sink(aside.kind, &aside.options);
            self.check_end(c, (aside, "on_refusal"), problems).await?;
        }
        match &p.transform {
            Some(text) => refuse_problems(&streams.check_transform(text), "transform"),
            None => Ok(()),
        }
    }

    async fn check_end(
        &self,
        c: &Caller,
        (end, field): (&PipelineEnd, &'static str),
        mut problems: Vec<connector::records::Problem>,
    ) -> Result<()> {
        let reached = self.reach(c, end).await.map_err(|e| e.field(field))?;
        if !reached.connection.is_empty() {
            problems.extend(self.0.streams.check_connection(end.kind, &reached.connection));
        }
        refuse_problems(&problems, field)
    }

    pub(crate) async fn refuse_taken_pipeline(&self, p: &Pipeline) -> Result<()> {
        let all = self.0.store.pipelines(Some(&p.account)).await?;
        if all.iter().any(|o| o.name == p.name && o.id != p.id && o.status != PipelineStatus::Deleting) {
            let message = format!("a pipeline with the name {} exists already", p.name);
            return Err(Error::new(ErrorKind::Exists(Noun::Pipeline), message).field("name"));
        }
        Ok(())
    }

    /// The topics that it reads by name have to be there. A cluster that does not answer now may do so later: then the
    /// pipeline says what is in its way.
    async fn check_topics(&self, c: &Caller, p: &Pipeline) -> Result<()> {
        if p.source.kind != EndKind::Kafka {
            return Ok(());
        }
        let source = KafkaSource::of(&p.source.options);
        if source.topics.is_empty() {
            return Ok(());
        }
        let cluster = self.cluster_of(c, &p.source).await?;
        let call = self.0.streams.topics(&cluster, Some(&source.topics));
        match self.answered(call, Noun::Topic).await {
            Ok(found) => match source.topics.iter().find(|t| !found.iter().any(|f| f.name == **t)) {
                Some(missing) => Err(Error::not_found(Noun::Topic, missing).field("source")),
                None => Ok(()),
            },
            Err(e) => {
                tracing::info!(pipeline = %p.id, error = %e, "a new pipeline's source can't be asked");
                Ok(())
            }
        }
    }

    /// A page of the caller's pipelines that answer the filter, and how many do.
    ///
    /// # Errors
    /// `LimitExceeded` when a list of the filter is too long.
    pub async fn pipelines(&self, c: &Caller, filter: &PipelineFilter) -> Result<(Vec<Pipeline>, u64)> {
        let all = self.0.store.pipelines((!c.operator).then_some(&c.account)).await?;
        let found: Vec<Arc<Pipeline>> = all.into_iter().filter(|p| filter.matches(p)).collect();
        let (picked, total) = page_of(&found, filter.page);
        let mut page = Vec::with_capacity(picked.len());
        for p in picked {
            let mut p = (*p).clone();
            match self.0.store.pipeline_ledger(&p.id).await {
                Ok(ledger) => p.ledger = ledger,
                Err(e) if e.kind() == store::ErrorKind::NotFound => continue,
                Err(e) => return Err(e.into()),
            }
            page.push(p);
        }
        Ok((page, total))
    }

    /// One pipeline of the caller's; also one that was deleted not long ago.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`.
    pub async fn pipeline(&self, c: &Caller, id: &PipelineId) -> Result<Pipeline> {
        let found = self.0.store.pipeline(id).await?.filter(|p| c.may_see(&p.account));
        found.ok_or_else(|| Error::not_found(Noun::Pipeline, id))
    }

    /// The same without its account: cheap.
    pub(crate) async fn pipeline_terms(&self, c: &Caller, id: &PipelineId) -> Result<Pipeline> {
        let found = self.0.store.pipeline_terms(id).await?.filter(|p| c.may_see(&p.account));
        found.ok_or_else(|| Error::not_found(Noun::Pipeline, id))
    }

    /// Changes a pipeline.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`, `Exists(Pipeline)` the name is taken, `Invalid`, `InvalidState` it is (being) deleted.
    pub async fn change_pipeline(
        &self,
        c: &Caller,
        id: &PipelineId,
        change: PipelineChange,
    ) -> Result<Pipeline> {
        let before = self.pipeline_terms(c, id).await?;
        let name = change.name.clone().unwrap_or_default();
        let changed = self.0.store.change_pipeline(id, |p| {
            if matches!(p.status, PipelineStatus::Deleting | PipelineStatus::Deleted) {
                let message = format!("pipeline {id} is {}", p.status.name());
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            apply(p, change);
            self.check_terms(p)
        });
        let changed = changed.await.map_err(|e| match e.kind() {
            store::ErrorKind::NotFound => Error::not_found(Noun::Pipeline, id),
            _ => taken(e, Noun::Pipeline, &name),
        })??;
        let limits = |p: &Pipeline| (p.lanes, p.bytes_per_s, p.records_per_s);
        let at_work = matches!(
            changed.status,
            PipelineStatus::Creating | PipelineStatus::Running | PipelineStatus::Resuming
        );
        if limits(&before) != limits(&changed) && at_work && is_worked(&changed) {
            return match self.order(id, PipelineOrder::Restart).await {
                // Paused or deleted meanwhile: it takes the change when it goes on.
                Err(e) if e.kind == ErrorKind::InvalidState => Ok(changed),
                other => other,
            };
        }
        Ok(changed)
    }

    /// Asks a pipeline to pause. It keeps its positions. One that nobody works on (HTTP, a sync of topics only) is Paused at once.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`, `InvalidState`.
    pub async fn pause_pipeline(&self, c: &Caller, id: &PipelineId) -> Result<Pipeline> {
        self.living(c, id).await?;
        self.order(id, PipelineOrder::Pause).await
    }

    /// Lets a paused pipeline go on.
    ///
    /// # Errors
    /// As [`Control::pause_pipeline`].
    pub async fn resume_pipeline(&self, c: &Caller, id: &PipelineId) -> Result<Pipeline> {
        self.living(c, id).await?;
        self.order(id, PipelineOrder::Resume).await
    }

    /// Builds a running pipeline's ends anew, in place, and forgets what was in its way. A paused one goes on.
    ///
    /// # Errors
    /// As [`Control::pause_pipeline`].
    pub async fn restart_pipeline(&self, c: &Caller, id: &PipelineId) -> Result<Pipeline> {
        self.living(c, id).await?;
        self.order(id, PipelineOrder::Restart).await
    }

    /// Ends a pipeline. It can be read for a day, as Deleted.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`, also when it is deleted already.
    pub async fn delete_pipeline(&self, c: &Caller, id: &PipelineId) -> Result<Pipeline> {
        let p = self.living(c, id).await?;
        if p.status == PipelineStatus::Deleting {
            return Ok(p);
        }
        self.order(id, PipelineOrder::Delete).await
    }

    /// A pipeline of the caller's that is not deleted.
    async fn living(&self, c: &Caller, id: &PipelineId) -> Result<Pipeline> {
        let p = self.pipeline(c, id).await?;
        match p.status {
            PipelineStatus::Deleted => Err(Error::not_found(Noun::Pipeline, id)),
            _ => Ok(p),
        }
    }

    pub(crate) async fn order(&self, id: &PipelineId, order: PipelineOrder) -> Result<Pipeline> {
        let p = self.0.store.order_pipeline(id, order, self.now()).await.map_err(|e| match e.kind() {
            store::ErrorKind::NotFound => Error::not_found(Noun::Pipeline, id),
            _ => e.into(),
        })?;
        if is_worked(&p) {
            match p.status {
                PipelineStatus::Resuming => self.0.dispatch.wake_pipelines(),
                _ => self.0.dispatch.signal_pipeline(id),
            }
        }
        Ok(p)
    }

    /// What a transform would make of these records.
    ///
    /// # Errors
    /// `Invalid` with all problems of the transform.
    pub fn preview_transform(&self, transform: &str, records: Vec<NewRecord>) -> Result<Vec<Transformed>> {
        refuse_problems(&self.0.streams.check_transform(transform), "transform")?;
        let made = self.0.streams.transform(transform, "preview", records);
        made.map_err(|e| Error::new(ErrorKind::Invalid, e.to_string()).field("transform"))
    }
}

impl PipelineFilter {
    /// Does `p` answer this question?
    #[must_use]
    pub fn matches(&self, p: &Pipeline) -> bool {
        let named = |r: &String| {
            [&p.source, &p.sink].iter().any(|e| e.connection.as_ref().is_some_and(|c| c.as_str() == r))
                || ["Source", "Target"].iter().any(|k| p.attributes.get(*k) == Some(r))
        };
        self.search.as_ref().is_none_or(|s| p.name.contains(s.as_str()))
            && (self.dumps || !p.attributes.contains_key(DUMP))
            && self.direction.is_none_or(|d| d == p.direction)
            && self.source_kind.is_none_or(|k| k == p.source.kind)
            && self.sink_kind.is_none_or(|k| k == p.sink.kind)
            && self.resource.as_ref().is_none_or(named)
            && self.attributes.iter().all(|(k, any)| p.attributes.get(k).is_some_and(|v| any.contains(v)))
    }
}

fn apply(p: &mut Pipeline, change: PipelineChange) {
    if let Some(name) = change.name {
        p.name = name;
    }
    if let Some(description) = change.description {
        p.description = description;
    }
    if let Some(lanes) = change.lanes {
        p.lanes = lanes;
    }
    if let Some(rate) = change.bytes_per_s {
        p.bytes_per_s = rate;
    }
    if let Some(rate) = change.records_per_s {
        p.records_per_s = rate;
    }
    for (key, value) in change.attributes.into_iter().filter(|(k, _)| k != SYNC && k != DUMP) {
        match value {
            Some(value) => p.attributes.insert(key, value),
            None => p.attributes.remove(&key),
        };
    }
}
