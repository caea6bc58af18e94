//! Which action do method and path name?
//!
//! One table has every path of the SDKs, old and new. A path may end in `/`; where the dump tasks of a stream are meant,
//! `stream` stands for `streams`, as the older SDKs write it. Two paths carry two actions each, which only the body
//! tells apart: [`BATCH_TAGS`] and [`BATCH_TASKS`].

use std::borrow::Cow;

use http::Method;

/// `…/tags/action`: `BatchCreateTags` or `BatchDeleteTags`, as the body's `action` says.
pub const BATCH_TAGS: &str = "BatchTags";
/// `…/transfer-tasks/action`: `BatchStartTransferTask` or `BatchStopTransferTask`.
pub const BATCH_TASKS: &str = "BatchTransferTasks";

/// Deepest path, in parts after the project.
const MOST_PARTS: usize = 5;

/// What a path means.
#[derive(Debug)]
pub struct Found<'p> {
    /// The action.
    pub action: &'static str,
    /// The project, as it stands in the path.
    pub project: &'p str,
    /// Names in the path with their decoded values.
    pub names: Vec<(&'static str, Cow<'p, str>)>,
}

/// Method, version, path after the project, action.
type Row = (Method, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    (Method::POST, "v2", "streams", "CreateStream"),
    (Method::GET, "v2", "streams", "ListStreams"),
    (Method::GET, "v2", "streams/{stream_name}", "ShowStream"),
    (Method::DELETE, "v2", "streams/{stream_name}", "DeleteStream"),
    (Method::PUT, "v2", "streams/{stream_name}", "UpdatePartitionCount"),
    (Method::PUT, "v3", "streams/{stream_name}", "UpdateStream"),
    (Method::PUT, "v2", "streams/{stream_name}/update", "UpdateStream"),
    (Method::POST, "v2", "records", "SendRecords"),
    (Method::GET, "v2", "records", "ConsumeRecords"),
    (Method::GET, "v2", "cursors", "ShowCursor"),
    (Method::POST, "v2", "apps", "CreateApp"),
    (Method::GET, "v2", "apps", "ListApp"),
    (Method::GET, "v2", "apps/{app_name}", "ShowApp"),
    (Method::DELETE, "v2", "apps/{app_name}", "DeleteApp"),
    (Method::GET, "v2", "apps/{app_name}/streams/{stream_name}", "ShowConsumerState"),
    (Method::POST, "v2", "checkpoints", "CommitCheckpoint"),
    (Method::GET, "v2", "checkpoints", "ShowCheckpoint"),
    (Method::DELETE, "v2", "checkpoints", "DeleteCheckpoint"),
    (Method::POST, "v2", "streams/{stream_name}/transfer-tasks", "CreateObsTransferTask"),
    (Method::GET, "v2", "streams/{stream_name}/transfer-tasks", "ListTransferTasks"),
    (Method::PUT, "v2", "streams/{stream_name}/transfer-tasks", "UpdateTransferTask"),
    (Method::POST, "v2", "streams/{stream_name}/transfer-tasks/action", BATCH_TASKS),
    (Method::GET, "v2", "streams/{stream_name}/transfer-tasks/{task_name}", "ShowTransferTask"),
    (Method::DELETE, "v2", "streams/{stream_name}/transfer-tasks/{task_name}", "DeleteTransferTask"),
    (Method::GET, "v2", "streams/{stream_name}/metrics", "ShowStreamMetrics"),
    (Method::GET, "v2", "streams/{stream_name}/partitions/{partition_id}/metrics", "ShowPartitionMetrics"),
    (Method::GET, "v2", "streams/{stream_name}/policies", "ListPolicies"),
    (Method::GET, "v2", "stream/tags", "ListTags"),
    (Method::POST, "v2", "stream/resource_instances/action", "ListResourcesByTags"),
    (Method::POST, "v2", "stream/{stream_id}/tags", "CreateTag"),
    (Method::GET, "v2", "stream/{stream_id}/tags", "ShowStreamTags"),
    (Method::POST, "v2", "stream/{stream_id}/tags/action", BATCH_TAGS),
    (Method::DELETE, "v2", "stream/{stream_id}/tags/{key}", "DeleteTag"),
];

/// What [`find`] may name.
pub const ACTIONS: &[&str] = &[
    "CreateStream",
    "ListStreams",
    "ShowStream",
    "DeleteStream",
    "UpdatePartitionCount",
    "UpdateStream",
    "SendRecords",
    "ConsumeRecords",
    "ShowCursor",
    "CreateApp",
    "ListApp",
    "ShowApp",
    "DeleteApp",
    "ShowConsumerState",
    "CommitCheckpoint",
    "ShowCheckpoint",
    "DeleteCheckpoint",
    "CreateObsTransferTask",
    "ListTransferTasks",
    "UpdateTransferTask",
    BATCH_TASKS,
    "ShowTransferTask",
    "DeleteTransferTask",
    "ShowStreamMetrics",
    "ShowPartitionMetrics",
    "ListPolicies",
    "ListTags",
    "ListResourcesByTags",
    "CreateTag",
    "ShowStreamTags",
    BATCH_TAGS,
    "DeleteTag",
];

/// Finds the row of a request.
#[must_use]
pub fn find<'p>(method: &Method, path: &'p str) -> Option<Found<'p>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut parts = path.split('/');
    let (version, project) = (parts.next()?, parts.next()?);
    let rest: Vec<&str> = parts.take(MOST_PARTS + 1).collect();
    if rest.is_empty() || rest.len() > MOST_PARTS || rest.iter().any(|p| p.is_empty()) {
        return None;
    }
    ROWS.iter().filter(|(m, v, ..)| m == method && *v == version).find_map(|(_, _, pattern, action)| {
        let names = fits(pattern, &rest)?;
        Some(Found { action, project, names })
    })
}

fn fits<'p>(pattern: &'static str, parts: &[&'p str]) -> Option<Vec<(&'static str, Cow<'p, str>)>> {
    let mut names = Vec::new();
    let mut given = parts.iter();
    for wanted in pattern.split('/') {
        let part = *given.next()?;
        match wanted.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
            Some(name) => names.push((name, api::encode::unpercent(part))),
            None if wanted == part => {}
            None if wanted == "streams" && part == "stream" && pattern.contains("/transfer-tasks") => {}
            None => return None,
        }
    }
    given.next().is_none().then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(method: &Method, path: &str) -> Option<(&'static str, String)> {
        let found = find(method, path)?;
        let names: Vec<_> = found.names.iter().map(|(n, v)| format!("{n}={v}")).collect();
        Some((found.action, names.join(",")))
    }

    #[test]
    fn every_row_is_found_with_and_without_the_last_slash() {
        for (method, version, pattern, name) in ROWS {
            let path = pattern.replace(['{', '}'], "");
            for end in ["", "/"] {
                let found = action(method, &format!("/{version}/p1/{path}{end}"));
                assert_eq!(found.map(|f| f.0), Some(*name), "{method} {path}{end}");
            }
            assert!(ACTIONS.contains(name), "{name}");
        }
        for name in ACTIONS {
            assert!(ROWS.iter().any(|(.., action)| action == name), "{name}");
        }
    }

    #[test]
    fn the_spellings_of_older_sdks() {
        let task = |path: &str| action(&Method::GET, path);
        assert_eq!(
            task("/v2/p/stream/s/transfer-tasks/t/"),
            Some(("ShowTransferTask", "stream_name=s,task_name=t".into()))
        );
        assert_eq!(task("/v2/p/stream/s"), None, "only dump tasks are spelled so");
        assert_eq!(action(&Method::PUT, "/v2/p/streams/a%2Fb/update").unwrap().1, "stream_name=a/b");
        assert_eq!(
            action(&Method::DELETE, "/v2/p/stream/id/tags/k%C3%A9y").unwrap().1,
            "stream_id=id,key=kéy"
        );
    }

    #[test]
    fn anything_else_is_nothing() {
        for (method, path) in [
            (Method::GET, "/v2/p"),
            (Method::GET, "/v2/p/"),
            (Method::GET, "/v2/p//"),
            (Method::GET, "/v3/p/streams"),
            (Method::PATCH, "/v2/p/streams"),
            (Method::GET, "/v2/p/streams//metrics"),
            (Method::GET, "/v2/p/streams/a/b/c/d/e/f/g"),
            (Method::GET, "/v2"),
            (Method::GET, ""),
            (Method::POST, "/v2/p/checkpoints/1"),
        ] {
            assert!(find(&method, path).is_none(), "{method} {path}");
        }
    }
}
