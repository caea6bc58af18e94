//! Work that helpers take from, and whose results its owner takes in the order it wants.
//!
//! A job that no helper has begun when its result is wanted is done by the owner itself. So helpers are never needed, only
//! useful: none may have started, or all may be busy elsewhere, and the walk goes on.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs that nobody needs any more are cleared away when so many wait.
const CLEAR: usize = 64;

/// The jobs that wait, and whether helpers are to stay.
#[derive(Default)]
pub(super) struct Crew {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<dyn Claim>>,
    open: bool,
}

impl Crew {
    /// From now on helpers wait for work.
    pub(super) fn open(&self) {
        lock(&self.state).open = true;
    }

    /// Helpers go as soon as they are done with what they have begun.
    pub(super) fn close(&self) {
        lock(&self.state).open = false;
        self.more.notify_all();
    }

    /// Offers a job to the helpers.
    pub(super) fn post<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        let job = Job::new(work);
        let mut state = lock(&self.state);
        if state.waiting.len() >= CLEAR {
            state.waiting.retain(|job| job.waits());
        }
        state.waiting.push_back(job.0.clone());
        drop(state);
        self.more.notify_one();
        job
    }

    /// Does what is posted until the crew is closed.
    pub(super) fn help(&self) {
        loop {
            let mut state = lock(&self.state);
            let job = loop {
                if !state.open {
                    return;
                }
                match state.waiting.pop_front() {
                    Some(job) => break job,
                    None => state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(state);
            job.run();
        }
    }
}

/// A piece of work, and in the end its result.
pub(super) struct Job<T: Send + 'static>(Arc<Inner<T>>);

impl<T: Send + 'static> Job<T> {
    /// One that no helper knows of.
    pub(super) fn new(work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self(Arc::new(Inner { stage: Mutex::new(Stage::Waits(Box::new(work))), done: Condvar::new() }))
    }

    /// The result; `None` when a helper broke over it.
    pub(super) fn take(self) -> Option<T> {
        let mut stage = lock(&self.0.stage);
        loop {
            match mem::replace(&mut *stage, Stage::Over) {
                Stage::Waits(work) => {
                    drop(stage);
                    return Some(work());
                }
                Stage::Runs => {
                    *stage = Stage::Runs;
                    stage = self.0.done.wait(stage).unwrap_or_else(PoisonError::into_inner);
                }
                Stage::Done(result) => return Some(result),
                Stage::Over => return None,
            }
        }
    }
}

impl<T: Send + 'static> Drop for Job<T> {
    fn drop(&mut self) {
        // Nobody wants it any more. What runs ends; what waits need not begin.
        let mut stage = lock(&self.0.stage);
        if matches!(*stage, Stage::Waits(_)) {
            *stage = Stage::Over;
        }
    }
}

enum Stage<T> {
    Waits(Box<dyn FnOnce() -> T + Send>),
    Runs,
    Done(T),
    /// Taken, dropped or broken.
    Over,
}

struct Inner<T> {
    stage: Mutex<Stage<T>>,
    done: Condvar,
}

/// What a helper knows of a job.
trait Claim: Send + Sync {
    /// Has nobody begun it?
    fn waits(&self) -> bool;
    /// Does it, unless somebody has begun it.
    fn run(&self);
}

impl<T: Send + 'static> Claim for Inner<T> {
    fn waits(&self) -> bool {
        matches!(*lock(&self.stage), Stage::Waits(_))
    }

    fn run(&self) {
        let mut stage = lock(&self.stage);
        let work = match mem::replace(&mut *stage, Stage::Runs) {
            Stage::Waits(work) => work,
            other => return *stage = other,
        };
        drop(stage);
        let mut outcome = Outcome { of: self, result: None };
        outcome.result = Some(work());
    }
}

/// Tells the owner how it ended, also when the work panicked.
struct Outcome<'a, T> {
    of: &'a Inner<T>,
    result: Option<T>,
}

impl<T> Drop for Outcome<'_, T> {
    fn drop(&mut self) {
        *lock(&self.of.stage) = self.result.take().map_or(Stage::Over, Stage::Done);
        self.of.done.notify_all();
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn results_come_with_and_without_helpers_each_job_once() {
        for helpers in [0, 3] {
            let (crew, ran) = (Crew::default(), AtomicUsize::new(0));
            let ran = Arc::new(ran);
            crew.open();
            std::thread::scope(|s| {
                for _ in 0..helpers {
                    s.spawn(|| crew.help());
                }
                let post = |n: usize| {
                    let ran = ran.clone();
                    crew.post(move || {
                        ran.fetch_add(1, Relaxed);
                        n
                    })
                };
                let jobs: Vec<_> = (0..1000).map(post).collect();
                assert!(jobs.into_iter().enumerate().all(|(n, job)| job.take() == Some(n)));
                crew.close();
            });
            assert_eq!(ran.load(Relaxed), 1000);
        }
    }

    #[test]
    fn what_is_dropped_or_broken_keeps_nobody_waiting() {
        let crew = Crew::default();
        let dropped: Vec<_> =
            (0..10 * CLEAR).map(|_| drop(crew.post(|| panic!("nobody wants it")))).collect();
        assert_eq!(dropped.len(), 10 * CLEAR);
        assert!(lock(&crew.state).waiting.len() <= CLEAR + 1);
        let broken = crew.post(|| panic!("broken on purpose"));
        crew.open();
        std::thread::scope(|s| {
            let helper = s.spawn(|| crew.help());
            assert!(helper.join().is_err());
        });
        let got: Option<()> = broken.take();
        assert!(got.is_none());
    }
}
