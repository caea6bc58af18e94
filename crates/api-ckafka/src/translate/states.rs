//! States in the product's numbers.

use model::{Pipeline, PipelineDirection, PipelineStatus};

/// A task's `Status`. The numbers of failures (−1, 4, 7, 9) are never seen: making, pausing and removing a task is one
/// transaction each, and what is in the way of a running one stands in `ErrorMessage`.
#[must_use]
pub fn task(status: PipelineStatus) -> i64 {
    match status {
        PipelineStatus::Creating => 0,
        PipelineStatus::Running => 1,
        PipelineStatus::Deleting => 2,
        PipelineStatus::Deleted => 3,
        PipelineStatus::Pausing => 5,
        PipelineStatus::Paused => 6,
        PipelineStatus::Resuming => 8,
    }
}

/// `TaskType`.
#[must_use]
pub fn direction(direction: PipelineDirection) -> &'static str {
    match direction {
        PipelineDirection::Source => "SOURCE",
        PipelineDirection::Sink => "SINK",
    }
}

/// `TaskType` read.
#[must_use]
pub fn read_direction(word: &str) -> Option<PipelineDirection> {
    match word {
        "SOURCE" => Some(PipelineDirection::Source),
        "SINK" => Some(PipelineDirection::Sink),
        _ => None,
    }
}

/// `ErrorMessage`: what is in the way, or the product's word for a healthy task.
#[must_use]
pub fn message(task: &Pipeline) -> String {
    match (&task.error, task.status) {
        (Some(error), _) => error.clone(),
        (None, PipelineStatus::Running) => "运行中".to_owned(),
        (None, _) => String::new(),
    }
}

/// `TaskCurrentStep`.
#[must_use]
pub fn step(status: PipelineStatus) -> &'static str {
    if status == PipelineStatus::Creating { CREATING } else { FINISHED }
}

/// `TaskProgress`, in percent.
#[must_use]
pub fn progress(status: PipelineStatus) -> f64 {
    if status == PipelineStatus::Creating { 0.0 } else { 100.0 }
}

/// The step of a task that is being made.
pub const CREATING: &str = "WAIT_CREATE_TASK";
/// The step of everything that is done.
pub const FINISHED: &str = "FINISH";
/// `Status` of a connection: connections are made in one transaction, so there is no other.
pub const CONNECTION_RUNNING: i64 = 1;
/// `ErrorMessage` of a connection.
pub const CONNECTION_MESSAGE: &str = "RUNNING";
/// `Status` of a topic.
pub const TOPIC_IN_USE: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words() {
        use PipelineStatus as S;
        for (status, number) in [
            (S::Creating, 0),
            (S::Running, 1),
            (S::Deleting, 2),
            (S::Deleted, 3),
            (S::Pausing, 5),
            (S::Paused, 6),
            (S::Resuming, 8),
        ] {
            assert_eq!(task(status), number);
        }
        for word in ["SOURCE", "SINK"] {
            assert_eq!(read_direction(word).map(direction), Some(word));
        }
        assert_eq!(read_direction("sink"), None);
    }
}
