//! Leftovers: unfinished uploads and temporary files of tasks that were interrupted and never came back to them.
//!
//! A round goes to the destinations of the tasks that ended an age ago: what they left is as old by now, and
//! no place is walked for nothing. An unfinished task may still want what it left there, however long it
//! rests: at a place that one of them shares with it, only what is older than that task goes.

use std::collections::HashSet;
use std::sync::Mutex;

use connector::Sweep;
use model::{Direction, Task, TaskStatus, Timestamp};

use crate::overlap::{Place, UNFINISHED};
use crate::{Control, Error, ErrorKind, Page, Result, TaskFilter};

/// Rounds are not made more often, unless leftovers are swept sooner.
const EVERY_S: u64 = 6 * 3600;
/// The first round of a process also goes to tasks that ended so much earlier: nobody was there to sweep.
const LOOK_BACK_S: u64 = 30 * 24 * 3600;
/// By so much, and at most so much, what is older than an unfinished task must be older: a store keeps whole
/// seconds, by a clock of its own (which signatures allow to be 15 minutes off).
const MARGIN_S: (u64, u64) = (5, 900);
/// Tasks that are read in one go, and that a round holds at most: unfinished ones, or places of ended ones.
const PAGE: u64 = 500;
const MOST: usize = 50_000;

/// Places that wait for an unfinished task, at most; a start looks back anyway.
const WAITING: usize = 1000;

/// Up to which time of their end the tasks' places were swept by this process, and tasks whose places an
/// unfinished one did not let be swept as far as their age allows, or that could not be swept.
#[derive(Default)]
pub(crate) struct Swept(Mutex<(Option<Timestamp>, Vec<Task>)>);

fn micros(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000).saturating_mul(1_000_000)
}

impl Control {
    /// Makes a round when one is due; returns how much was removed.
    pub(crate) async fn sweep_leftovers(&self) -> Result<u64> {
        let age = self.0.limits.sweep_after_seconds;
        let now = self.now();
        let until = Timestamp(now.0.saturating_sub(micros(age)));
        let (before, from, waiting) = match self.0.swept.0.lock() {
            _ if age == 0 => return Ok(0),
            Err(_) => return Ok(0),
            Ok(mut swept) => {
                let before = swept.0;
                let from = match before {
                    Some(last) if until.0.saturating_sub(last.0) < micros(age.min(EVERY_S)) => return Ok(0),
                    Some(last) => last,
                    None => Timestamp(until.0.saturating_sub(micros(LOOK_BACK_S))),
                };
                swept.0 = Some(until);
                (before, from, std::mem::take(&mut swept.1))
            }
        };
        let done = self.sweep_round(age, now, (from, until), waiting.clone()).await;
        if let (Err(_), Ok(mut swept)) = (&done, self.0.swept.0.lock()) {
            // What it did not get to is not forgotten.
            *swept = (before, waiting);
        }
        done
    }

    /// Goes to the places of the tasks that ended in this time, and of those that wait.
    async fn sweep_round(
        &self,
        age: u64,
        now: Timestamp,
        (from, until): (Timestamp, Timestamp),
        waiting: Vec<Task>,
    ) -> Result<u64> {
        let ended = TaskFilter {
            statuses: vec![TaskStatus::Canceled, TaskStatus::Completed, TaskStatus::Failed],
            ended: (Some(from), Some(until)),
            ..Default::default()
        };
        let mut seen = HashSet::new();
        let mut ended = self.all(&ended, |t| seen.insert(place_of(t))).await?;
        ended.extend(waiting.into_iter().filter(|t| seen.insert(place_of(t))));
        if ended.is_empty() {
            return Ok(0);
        }
        let unfinished = TaskFilter { statuses: UNFINISHED.to_vec(), ..Default::default() };
        let unfinished = self.all(&unfinished, |_| true).await?;
        let mut n = 0;
        for task in ended {
            let idle_s = match needed_since(&task, &unfinished).await? {
                Some(since) => {
                    let since = u64::try_from(now.0.saturating_sub(since.0) / 1_000_000).unwrap_or(0);
                    age.max(since.saturating_add(age.clamp(MARGIN_S.0, MARGIN_S.1)))
                }
                None => age,
            };
            let swept = self.sweep_place(&task, &Sweep::idle(idle_s)).await;
            let again = idle_s > age || swept.is_err();
            match swept {
                Ok(swept) => n += swept,
                Err(e) => tracing::debug!(task = %task.id, error = %e, "its destination can't be swept now"),
            }
            if again {
                self.wait_with(task);
            }
        }
        if n > 0 {
            tracing::info!(n, "removed what interrupted tasks had left");
        }
        Ok(n)
    }

    /// The next round goes there again.
    fn wait_with(&self, task: Task) {
        if let Ok(mut swept) = self.0.swept.0.lock()
            && swept.1.len() < WAITING
        {
            swept.1.push(task);
        }
    }

    /// Those of the filter's tasks that are wanted, by time, some perhaps twice. All that there are, or none: who
    /// isn't seen here would not be spared.
    async fn all(&self, filter: &TaskFilter, mut wanted: impl FnMut(&Task) -> bool) -> Result<Vec<Task>> {
        let (mut all, mut offset, mut filter) = (Vec::new(), 0, filter.clone());
        loop {
            let page = Page { offset, limit: PAGE, newest_first: false };
            let tasks = self.0.store.tasks(&filter, page).await?.0;
            let last = tasks.last().filter(|_| tasks.len() as u64 == PAGE).map(|t| t.created);
            all.extend(tasks.into_iter().filter(&mut wanted));
            let Some(last) = last else { return Ok(all) };
            if all.len() > MOST {
                let what = format!("more than {MOST} tasks to look at: nothing is swept");
                return Err(Error::new(ErrorKind::Internal, what));
            }
            // By time, not by number: those that end meanwhile would move the others up.
            offset = if filter.created.0 == Some(last) { offset + PAGE } else { 0 };
            filter.created.0 = Some(last);
        }
    }

    async fn sweep_place(&self, task: &Task, what: &Sweep) -> connector::Result<u64> {
        let spec = &task.spec;
        let tree = match spec.direction {
            Direction::Import => self.0.trees.directory(&spec.directory)?,
            Direction::Export => {
                self.0.trees.object(&spec.object, spec.credentials.as_ref(), spec.dialect).await?
            }
        };
        tree.sweep(what).await
    }
}

/// Where a task writes, in words that are the same for the same place.
fn place_of(task: &Task) -> String {
    let spec = &task.spec;
    match spec.direction {
        Direction::Import => format!("{}\0{}", spec.directory.root.display(), spec.directory.path),
        Direction::Export => {
            format!("\0{}\0{}\0{}", spec.object.store, spec.object.bucket, spec.object.prefix)
        }
    }
}

/// Since when an unfinished task may have left something at this task's destination.
async fn needed_since(task: &Task, unfinished: &[Task]) -> Result<Option<Timestamp>> {
    let spec = &task.spec;
    let mut since: Option<Timestamp> = None;
    let mut place = match spec.direction {
        Direction::Import => Some(Place::of(&spec.directory.root, &spec.directory.path).await?),
        Direction::Export => None,
    };
    for other in unfinished.iter().filter(|t| t.spec.direction == spec.direction) {
        let meets = match &mut place {
            Some(place) => place.meets(&other.spec.directory).await?,
            None => {
                // Two entries of the catalogue may be one endpoint, so the bucket's name alone decides.
                let (a, b) = (&spec.object, &other.spec.object);
                a.bucket == b.bucket && (a.prefix.starts_with(&b.prefix) || b.prefix.starts_with(&a.prefix))
            }
        };
        if meets && since.is_none_or(|s| other.created < s) {
            since = Some(other.created);
        }
    }
    Ok(since)
}
