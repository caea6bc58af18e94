//! A pipeline's two ends, made for each of its lanes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{Context, Endpoint, ErrorDirectory, RecordSink, RecordSource, SharedHost};
use connector::{Error, ErrorKind, Result};
use control::{Caller, Control};
use engine::pipeline::{Catalogue, ChainStep, Ends, Step};
use model::{EndKind, OnFailure, Pipeline, PipelineEnd};

use super::{Connectors, kinds, transforms};

/// Looks ends up through control and opens their secrets.
pub struct Lookup {
    /// Resolves connections and buckets.
    pub control: Control,
    /// Opens secrets and knows the own cluster.
    pub connectors: Arc<Connectors>,
}

#[async_trait]
impl Catalogue for Lookup {
    async fn resolve(&self, p: &Pipeline) -> Result<Arc<dyn Ends>> {
        let source = self.end(&p.source).await?;
        let sink = self.end(&p.sink).await?;
        let mut copies = Vec::new();
        for policy in [&p.on_failure, &p.on_refusal] {
            if let OnFailure::Keep { copy: Some(to), .. } = policy {
                copies.push(((**to).clone(), plain(to.kind, self.end(to).await?)));
            }
        }
        let aside = match &p.on_refusal {
            OnFailure::Aside { to, .. } => Some((to.kind, self.end(to).await?)),
            _ => None,
        };
        let transform = p.transform.clone();
        let (source, sink) = ((p.source.kind, source), (p.sink.kind, sink));
        Ok(Arc::new(Made { source, sink, copies, aside, transform }))
    }
}

impl Lookup {
    async fn end(&self, end: &PipelineEnd) -> Result<Endpoint> {
        let reached = self.control.reach(&Caller::operator(), end).await.map_err(|e| {
            let kind = match e.kind {
                control::ErrorKind::NotFound(_) => ErrorKind::NotFound,
                _ => ErrorKind::Unavailable,
            };
            Error::new(kind, e.to_string())
        })?;
        self.connectors.endpoint(&reached)
    }
}

/// An end for copies. Several writers of one lane make one, so it must not be fenced by a transactional id; and a copy may come
/// twice anyhow.
fn plain(kind: EndKind, mut endpoint: Endpoint) -> Endpoint {
    if kind == EndKind::Kafka
        && let Ok(serde_json::Value::Object(mut options)) = serde_json::from_str(&endpoint.options)
    {
        options.insert("exactly_once".to_owned(), false.into());
        endpoint.options = serde_json::Value::Object(options).to_string();
    }
    endpoint
}

struct Made {
    source: (EndKind, Endpoint),
    sink: (EndKind, Endpoint),
    copies: Vec<(PipelineEnd, Endpoint)>,
    aside: Option<(EndKind, Endpoint)>,
    transform: Option<String>,
}

impl Ends for Made {
    fn splits(&self) -> Result<Option<usize>> {
        let (EndKind::Kafka, endpoint) = &self.source else { return Ok(None) };
        connector_kafka::splits(endpoint, Duration::from_secs(10)).map(Some)
    }

    fn source(&self, context: &Context) -> Result<Box<dyn RecordSource>> {
        kinds::source(self.source.0, &self.source.1, context)
    }

    fn step(&self) -> Result<Option<Box<dyn Step>>> {
        let Some(text) = &self.transform else { return Ok(None) };
        let chain = transforms::chain(text).map_err(|problems| {
            let all: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.field, p.reason)).collect();
            Error::new(ErrorKind::Unacceptable, format!("the transform is wrong: {}", all.join("; ")))
        })?;
        Ok(Some(Box::new(ChainStep::from(chain))))
    }

    fn sink(&self, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
        kinds::sink(self.sink.0, &self.sink.1, context, host)
    }

    fn copy(&self, to: &PipelineEnd, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
        let found = self.copies.iter().find(|(end, _)| end == to);
        let none = || Error::new(ErrorKind::NotFound, "there is no such place for copies of dead letters");
        let (end, endpoint) = found.ok_or_else(none)?;
        kinds::sink(end.kind, endpoint, context, host)
    }

    fn errors(&self, _: &PipelineEnd, context: &Context) -> Result<Rc<dyn ErrorDirectory>> {
        match &self.aside {
            Some((EndKind::Bucket, endpoint)) => connector_object::error_directory(endpoint, context),
            _ => Err(Error::new(ErrorKind::Unsupported, "an error directory is one of a bucket")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_need_no_transaction() {
        let end =
            |options: &str| Endpoint { connection: String::new(), secret: None, options: options.to_owned() };
        let options = plain(EndKind::Kafka, end(r#"{"exactly_once":true,"topic":"dead"}"#)).options;
        assert_eq!(options, r#"{"exactly_once":false,"topic":"dead"}"#);
        assert!(connector_kafka::check_sink(&options).is_empty());
        assert_eq!(plain(EndKind::Sql, end(r#"{"table":"dead"}"#)).options, r#"{"table":"dead"}"#);
    }
}
