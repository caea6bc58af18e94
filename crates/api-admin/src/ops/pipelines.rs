//! `ListPipelines`, `GetPipeline`, `PausePipeline`, `ResumePipeline`, `RestartPipeline`, `DeletePipeline`; the same of
//! connections as far as an operator needs them.

use api::Fault;
use control::{
    Caller, ConnectionFilter, Control, DeadTotals, Page, PipelineFilter, SyncKind, datahub_id, pipeline_of,
};
use model::{Connection, ConnectionId, Origin, Pipeline, PipelineDirection, PipelineEnd};
use serde::Deserialize;

use super::Id;
use crate::fault::fault;
use crate::wire::{ConnectionView, Connections, EndView, PipelineView, Pipelines};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    #[serde(default)]
    search: Option<String>,
    #[serde(default)]
    offset: u64,
    #[serde(default = "hundred")]
    limit: u64,
}

fn hundred() -> u64 {
    100
}

impl List {
    fn page(&self) -> Page {
        Page { offset: self.offset, limit: self.limit.min(1000), newest_first: true }
    }
}

pub async fn list(c: &Control, request: List) -> Result<Pipelines, Fault> {
    let filter = PipelineFilter {
        page: request.page(),
        search: request.search,
        dumps: true,
        ..PipelineFilter::default()
    };
    let (found, total) = c.pipelines(&Caller::operator(), &filter).await.map_err(fault)?;
    let mut pipelines = Vec::with_capacity(found.len());
    for p in &found {
        pipelines.push(shown(c, p).await?);
    }
    Ok(Pipelines { pipelines, total })
}

pub async fn get(c: &Control, request: Id) -> Result<PipelineView, Fault> {
    let p = c.pipeline(&Caller::operator(), &pipeline_of(&request.id)).await.map_err(fault)?;
    shown(c, &p).await
}

/// What can be told to a pipeline.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    Pause,
    Resume,
    Restart,
    Delete,
}

pub async fn order(c: &Control, order: Order, request: Id) -> Result<PipelineView, Fault> {
    let (me, id) = (Caller::operator(), pipeline_of(&request.id));
    let done = match order {
        Order::Pause => c.pause_pipeline(&me, &id).await,
        Order::Resume => c.resume_pipeline(&me, &id).await,
        Order::Restart => c.restart_pipeline(&me, &id).await,
        Order::Delete => c.delete_pipeline(&me, &id).await,
    };
    shown(c, &done.map_err(fault)?).await
}

async fn shown(c: &Control, p: &Pipeline) -> Result<PipelineView, Fault> {
    let dead = match c.dead_totals(&Caller::operator(), &p.id).await {
        Ok(dead) => dead,
        // Forgotten this very moment.
        Err(e) if matches!(e.kind, control::ErrorKind::NotFound(_)) => DeadTotals::default(),
        Err(e) => return Err(fault(e)),
    };
    Ok(view(p, dead))
}

fn end(e: &PipelineEnd) -> EndView {
    EndView {
        kind: e.kind.name().to_owned(),
        connection: e.connection.as_ref().map(ToString::to_string),
        options: e.options.clone(),
    }
}

fn view(p: &Pipeline, dead: DeadTotals) -> PipelineView {
    PipelineView {
        id: p.id.to_string(),
        datahub: datahub_id(&p.id),
        account: p.account.to_string(),
        name: p.name.clone(),
        description: p.description.clone(),
        direction: match p.direction {
            PipelineDirection::Source => "source",
            PipelineDirection::Sink => "sink",
        }
        .to_owned(),
        source: end(&p.source),
        sink: end(&p.sink),
        transform: p.transform.clone(),
        sync: SyncKind::of(p).map(|s| s.name().to_owned()),
        lanes: p.lanes,
        bytes_per_s: p.bytes_per_s,
        records_per_s: p.records_per_s,
        status: p.status.name().to_owned(),
        error: p.error.clone(),
        ledger: (&p.ledger).into(),
        attempt: p.attempt,
        dead_letters: dead.letters,
        dead_bytes: dead.bytes,
        created: p.created.0,
        deleted: p.deleted.map(|t| t.0),
    }
}

pub async fn connections(c: &Control, request: List) -> Result<Connections, Fault> {
    let filter =
        ConnectionFilter { page: request.page(), search: request.search, ..ConnectionFilter::default() };
    let (found, total) = c.connections(&Caller::operator(), &filter).await.map_err(fault)?;
    let mut connections = Vec::with_capacity(found.len());
    for one in &found {
        connections.push(connection(c, one).await?);
    }
    Ok(Connections { connections, total })
}

pub async fn get_connection(c: &Control, request: Id) -> Result<ConnectionView, Fault> {
    let found = c.connection(&Caller::operator(), &ConnectionId(request.id)).await.map_err(fault)?;
    connection(c, &found).await
}

pub async fn delete_connection(c: &Control, request: Id) -> Result<(), Fault> {
    c.delete_connection(&Caller::operator(), &ConnectionId(request.id)).await.map_err(fault)
}

async fn connection(c: &Control, of: &Connection) -> Result<ConnectionView, Fault> {
    let pipelines = match c.pipelines_of(&Caller::operator(), &of.id).await {
        Ok(n) => n,
        Err(e) if matches!(e.kind, control::ErrorKind::NotFound(_)) => 0,
        Err(e) => return Err(fault(e)),
    };
    Ok(ConnectionView {
        id: of.id.to_string(),
        account: of.account.as_ref().map(ToString::to_string),
        name: of.name.clone(),
        description: of.description.clone(),
        kind: of.kind.map(|k| k.name().to_owned()),
        product: of.product.clone(),
        address: of.address.clone(),
        has_secret: of.secret.is_some(),
        origin: match of.origin {
            Origin::Config => "config",
            Origin::Registered => "registered",
        }
        .to_owned(),
        pipelines,
        created: of.created.0,
    })
}
