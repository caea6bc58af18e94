//! Plans: a task's very run, dry, with no journal and no reports, and for a limited time.
//!
//! There is one truth about what a transfer does, and that is the engine. So a plan is a run with
//! [`Options::dry_run`](crate::transfer::Options::dry_run), and its account is the account that the task
//! would end with. Nothing is written anywhere, and a destination directory that is missing is not made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use connector::{Error, Nowhere, Result};
use model::{Direction, Plan, TransferSpec};

use super::counted::Counted;
use super::{Local, run};
use crate::Wish;
use crate::transfer::{self, Ended, Job, Outcome};

/// What a plan assumes: files and bytes a second on an ordinary machine and network.
const FILES_PER_S: u64 = 1000;
const BYTES_PER_S: u64 = 100_000_000;
/// How long looks in flight may take to end when the time is over.
const GRACE_MS: u64 = 200;
/// Items that can't be moved and are named.
const NAMED: usize = 10;

impl Local {
    /// What a transfer would do, found out within this time; later than that it is a partial plan.
    ///
    /// # Errors
    /// What would stop the run, with the kind of its cause (a missing list is `NotFound`). Also when the
    /// time is over while a listing does not get on: what was seen by then is no lower limit worth telling.
    pub async fn plan(&self, spec: &TransferSpec, within: Duration) -> Result<Plan> {
        let began = Instant::now();
        let asked = Arc::new(AtomicU64::new(0));
        let job = self.dry_job(spec, &asked).await?;
        let limit = job.shared.bandwidth.limit();
        let (steer, live) = (job.steer.clone(), job.live.clone());
        let mut running = std::pin::pin!(transfer::run(job));
        let outcome = tokio::select! {
            outcome = &mut running => outcome,
            () = async {
                tokio::select! {
                    () = tokio::time::sleep(within) => {}
                    () = self.0.stop.stopped() => {}
                }
            } => {
                steer.wish(Wish::Pause);
                running.await
            }
        };
        let complete = match &outcome.ended {
            Ended::Done => true,
            Ended::Failed(kind, message) => return Err(Error::new(*kind, message.clone())),
            Ended::Paused | Ended::Canceled | Ended::Fenced => match live.listing_fault() {
                Some((kind, message)) => return Err(Error::new(kind, message)),
                None => false,
            },
        };
        let mut plan = plan_of(&outcome, spec.direction, complete);
        plan.requests += asked.load(Relaxed);
        let rate = limit.unwrap_or(BYTES_PER_S).clamp(1, BYTES_PER_S);
        let moving = (plan.files / FILES_PER_S).max(plan.ledger.bytes.written / rate);
        plan.estimated_s = began.elapsed().as_secs() + moving + u64::from(plan.ledger.items.written > 0);
        Ok(plan)
    }

    async fn dry_job(&self, spec: &TransferSpec, asked: &Arc<AtomicU64>) -> Result<Job> {
        let s = &self.0.settings;
        let object = Arc::new(Counted::new(s.ends.object(spec).await?, asked.clone()));
        let directory = s.ends.present_directory(spec)?;
        let missing =
            || Arc::new(Nowhere::new(format!("{}/{}", spec.directory.root.display(), spec.directory.path)));
        let directory = directory.unwrap_or_else(|| missing());
        let mut job = run::job_of(s, spec, object, directory).await?;
        job.options.dry_run = true;
        job.options.durable = false;
        job.options.grace_ms = GRACE_MS;
        Ok(job)
    }
}

/// The account, and the requests that the moving itself takes.
fn plan_of(outcome: &Outcome, direction: Direction, complete: bool) -> Plan {
    let would = &outcome.would;
    let whole = would.files - would.large;
    let requests = match direction {
        // The first byte of a large object tells its metadata; directories were opened by the plan itself.
        Direction::Import => whole + would.large + would.parts,
        // A large one is begun and completed.
        Direction::Export => whole + would.directories + 2 * would.large + would.parts,
    };
    let failures = outcome.failures.iter().take(NAMED);
    Plan {
        ledger: outcome.ledger,
        files: would.files,
        overwritten: would.overwritten,
        kept: would.kept,
        requests,
        estimated_s: 0,
        complete,
        problems: failures.map(|f| model::presentable(&format!("{}: {}", f.path, f.reason), 500)).collect(),
    }
}
