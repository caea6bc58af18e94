//! Plans: what a transfer would do, without doing it.
//!
//! The engine makes them, with the decisions of the run itself. What stands here is what goes before
//! any transfer: is the spec a good one, are both ends there, may one more plan be made now.

use std::time::Duration;

use model::{Direction, Plan, Selection, TransferSpec};

use crate::error::from_connector;
use crate::{Control, Error, ErrorKind, Noun, Result};

/// Plans that are made at once; more wait for their turn, inside their time.
pub(crate) const AT_ONCE: usize = 4;

impl Control {
    /// What a transfer would do, found out within [`Limits::plan_seconds`](crate::Limits). Nothing is
    /// changed anywhere.
    ///
    /// # Errors
    /// As making the task, and `NotFound` (bucket, directory of the source, list), `BadCredentials`,
    /// `Unreachable`, `LimitExceeded` when too many plans are being made, `Unsupported`.
    pub async fn plan(&self, spec: &TransferSpec) -> Result<Plan> {
        self.plan_within(spec, Duration::from_secs(self.0.limits.plan_seconds.max(1))).await
    }

    /// The same within a shorter time.
    ///
    /// # Errors
    /// As [`Control::plan`].
    pub async fn plan_within(&self, spec: &TransferSpec, within: Duration) -> Result<Plan> {
        let within = within.min(Duration::from_secs(self.0.limits.plan_seconds.max(1)));
        let end = std::time::Instant::now() + within;
        let left = || end.saturating_duration_since(std::time::Instant::now());
        let spec = self.checked_spec(spec.clone()).await?;
        let turn = tokio::time::timeout(left(), self.0.plans.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                "too many plans are being made; try again later",
            ));
        };
        let late =
            |_| Error::new(ErrorKind::Unreachable, "the source or the destination did not answer in time");
        tokio::time::timeout(left(), self.both_ends(&spec)).await.map_err(late)??;
        let missing = match (&spec.selection, spec.direction) {
            (Selection::CsvUnder(_) | Selection::ListFile(_) | Selection::ListUrl(_), _) => Noun::ListFile,
            (_, Direction::Import) => Noun::Bucket,
            (_, Direction::Export) => Noun::Directory,
        };
        let plan = self.0.dispatch.plan(&spec, left()).await.map_err(|e| from_connector(&e, missing))?;
        plan.ok_or_else(|| Error::new(ErrorKind::Unsupported, "this engine makes no plans"))
    }

    /// Asks both ends whether they are there; only the directory of an import may be missing.
    async fn both_ends(&self, spec: &TransferSpec) -> Result<()> {
        let bucket = |e: connector::Error| from_connector(&e, Noun::Bucket);
        let directory = |e: connector::Error| from_connector(&e, Noun::Directory);
        let object = self.0.trees.object(&spec.object, spec.credentials.as_ref(), spec.dialect).await;
        object.map_err(bucket)?.probe(false).await.map_err(bucket)?;
        match self.0.trees.directory(&spec.directory) {
            Ok(there) => there.probe(false).await.map(drop).map_err(directory),
            Err(e) if e.kind() == connector::ErrorKind::NotFound && may_be_made(spec) => Ok(()),
            Err(e) => Err(directory(e)),
        }
    }

    /// Is there an object of exactly this name below the spec's prefix?
    ///
    /// # Errors
    /// `NotFound(Bucket)`, `BadCredentials`, `Unreachable`.
    pub async fn object_exists(&self, spec: &TransferSpec, name: &str) -> Result<bool> {
        let bucket = |e: connector::Error| from_connector(&e, Noun::Bucket);
        let tree = self.0.trees.object(&spec.object, spec.credentials.as_ref(), spec.dialect).await;
        let tree = tree.map_err(bucket)?;
        let seconds = Duration::from_secs(self.0.limits.plan_seconds.max(1));
        let late = |_| Error::new(ErrorKind::Unreachable, "the bucket did not answer in time");
        let ask = async {
            tree.probe(false).await?;
            let request = connector::ListRequest { prefix: name.into(), ..Default::default() };
            let first = tree.list(request).next().await?;
            // Of all keys that start with the name, the name itself is the first.
            let first = first.into_iter().flatten().find_map(connector::Result::ok);
            Ok(first
                .is_some_and(|e| e.path.as_bytes() == name.as_bytes() && e.kind != connector::EntryKind::Dir))
        };
        tokio::time::timeout(seconds, ask).await.map_err(late)?.map_err(bucket)
    }
}

fn may_be_made(spec: &TransferSpec) -> bool {
    spec.direction == Direction::Import && spec.create_directory
}
