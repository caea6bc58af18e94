//! How much a fileset holds: counted aside, so that nobody waits for a large one.
//!
//! A count is kept with its time. Asking for it begins a new one when the last is old, waits for it for a
//! moment, and else answers with the last: whoever shows it can say of when it is. How old is old follows
//! from how long a count takes, so that counting never takes more than a tenth of the time.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use model::{Fileset, FilesetId, Timestamp};
use runtime::TaskKind;
use tokio::sync::watch;

use crate::error::{from_connector, lost_call};
use crate::filesets::{end_of, gone};
use crate::{Caller, Control, Error, ErrorKind, Noun, Result};

/// A count is not repeated sooner.
const FRESH: Duration = Duration::from_secs(5);
/// Nor sooner than this many times what it took.
const SHARE: u32 = 10;

pub(crate) type Done = Option<Result<()>>;

/// What is known of the counts of this process.
#[derive(Default)]
pub(crate) struct Counts(Mutex<HashMap<FilesetId, Count>>);

#[derive(Default)]
struct Count {
    /// Under way.
    running: Option<watch::Receiver<Done>>,
    /// The last one of this process.
    last: Option<Ended>,
}

struct Ended {
    at: Timestamp,
    took: Duration,
    how: Result<()>,
}

impl Ended {
    fn is_fresh(&self, now: Timestamp) -> bool {
        let fresh = i64::try_from(FRESH.max(self.took * SHARE).as_micros()).unwrap_or(i64::MAX);
        now.0.saturating_sub(self.at.0) < fresh
    }
}

/// What there is to go by.
pub(crate) enum Begun {
    /// A count is under way.
    Running(watch::Receiver<Done>),
    /// The last one is fresh, and came to this.
    Fresh(Result<()>),
}

/// Waits for a count to end, and says how.
async fn ended(mut count: watch::Receiver<Done>) -> Result<()> {
    match count.wait_for(Option::is_some).await {
        Ok(done) => done.clone().unwrap_or(Ok(())),
        Err(e) => Err(lost_call(e)),
    }
}

impl Control {
    /// A fileset with its use, which is counted anew when that is due. [`Fileset::counted`] says when it was.
    ///
    /// # Errors
    /// `NotFound`, `BadPath`, `Unreachable`, also when that is how the last count ended and no new one is due;
    /// `InvalidState` when it has never been counted and that takes
    /// longer than a request may: it goes on, and a later request gets it.
    pub async fn measure_fileset(&self, c: &Caller, id: &FilesetId) -> Result<Fileset> {
        let f = self.fileset(c, id).await?;
        let failed = match self.begin_count(&f) {
            Begun::Fresh(how) => how.err(),
            Begun::Running(count) => {
                let wait = Duration::from_millis(self.0.limits.count_wait_ms);
                tokio::time::timeout(wait, ended(count)).await.ok().and_then(Result::err)
            }
        };
        let f = self.fileset(c, id).await?;
        match failed {
            Some(e) => Err(e),
            None if f.counted.is_none() => Err(Error::new(
                ErrorKind::InvalidState,
                format!("the use of fileset {id} is being counted for the first time: ask again"),
            )),
            None => Ok(f),
        }
    }

    /// The count under way, which is begun if it is due, or how the last one ended.
    pub(crate) fn begin_count(&self, f: &Fileset) -> Begun {
        let Ok(mut all) = self.0.counts.0.lock() else {
            let message = "what is known of the counts is lost";
            return Begun::Fresh(Err(Error::new(ErrorKind::Internal, message)));
        };
        let count = all.entry(f.id.clone()).or_default();
        if let Some(running) = &count.running {
            return Begun::Running(running.clone());
        }
        if let Some(last) = count.last.as_ref().filter(|last| last.is_fresh(self.now())) {
            return Begun::Fresh(last.how.clone());
        }
        let (say, listen) = watch::channel(None);
        count.running = Some(listen.clone());
        let (this, f) = (self.clone(), f.clone());
        runtime::spawn(TaskKind::Housekeeping, async move {
            let began = Instant::now();
            let done = this.count(&f).await;
            if let Err(e) = &done {
                tracing::warn!(fileset = %f.id, error = %e, "a fileset could not be counted");
            }
            if let Ok(mut all) = this.0.counts.0.lock() {
                let last = Some(Ended { at: this.now(), took: began.elapsed(), how: done.clone() });
                all.insert(f.id.clone(), Count { running: None, last });
            }
            // Nobody may be waiting any more.
            let _ = say.send(Some(done));
        });
        Begun::Running(listen)
    }

    async fn count(&self, f: &Fileset) -> Result<()> {
        let fs = self.file_system(&f.file_system).await?;
        let (bytes, files) = if self.directory_exists(&fs, &f.path).await? {
            let (trees, end) = (self.0.trees.clone(), end_of(&fs, &f.path));
            let counted = runtime::aside("count", move || trees.count(&end)).await.map_err(lost_call)?;
            counted.map_err(|e| from_connector(&e, Noun::Directory))?
        } else {
            (0, 0)
        };
        let now = self.now();
        let kept = self.0.store.change_fileset(&f.id, |f| {
            (f.space_used, f.files_used, f.counted) = (bytes, files, Some(now));
            Ok::<_, Error>(())
        });
        match kept.await {
            Ok(done) => done.map(drop),
            // Deleted meanwhile: nobody will ask for it.
            Err(e) => Err(gone(e, &f.id)),
        }
    }

    pub(crate) fn forget_counts(&self, id: &FilesetId) {
        if let Ok(mut all) = self.0.counts.0.lock() {
            all.remove(id);
        }
    }
}
