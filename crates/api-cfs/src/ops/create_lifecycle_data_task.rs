//! `CreateLifecycleDataTask`: moves what a flow binds, or a part of it, one way or the other.
//!
//! `archive` carries files to the bucket, `restore` carries objects to the directory. `metaload` and
//! `release` need load-on-read, which is not there yet: they are refused rather than half done.
//!
//! What a task is about is fixed when it is made: a list file is read here, once, and later changes
//! of it change nothing.

use crate::fault::{self, refuse};
use crate::request::{Ask, given};
use crate::translate::paths::Inside;
use crate::translate::{attributes as words, ids, paths, states};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::{FlowFilter, NewTask, Page};
use model::{
    DataType, Direction, Door, FileSystem, Flow, MetadataDialect, Originator, Selection, TaskId, TaskKind,
    TransferSpec,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateLifecycleDataTask",
    request: &[
        Field::new("FileSystemId", Ty::Str).required(),
        Field::new("Type", Ty::Str).required(),
        Field::new("TaskName", Ty::Str).required(),
        Field::new("TaskPath", Ty::Str),
        Field::new("DataFlowId", Ty::Str),
        Field::new("IsOverwrite", Ty::Bool),
        Field::new("ListPath", Ty::Str),
    ],
    response: &[Field::new("TaskId", Ty::Str)],
    note: "Types archive and restore run. release and metaload are refused with UnsupportedOperation until \
           files can be loaded when they are read.",
};

/// Bytes of a list file at most.
const MAX_LIST_BYTES: u64 = 4 << 20;
/// Lines of a list file at most.
const MAX_LIST_LINES: usize = 20_000;
/// Flows of a file system that are looked at for the one that a path belongs to.
const MAX_FLOWS: u64 = 1_000;
/// How metadata is written on objects. The product documents no spelling of its own, so it is the one in
/// which everything comes back: links, extended attributes, nanoseconds. All spellings are read.
pub const DIALECT: MetadataDialect = MetadataDialect::Native;
/// Mode of files whose object carries none.
pub const FILE_MODE: u32 = 0o644;
/// Mode of directories whose object carries none.
pub const DIR_MODE: u32 = 0o755;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'t> {
    task_id: &'t str,
}

/// What a task is about.
enum Subject {
    /// `TaskPath`.
    Path(Inside),
    /// The lines of `ListPath`.
    List(Vec<Inside>),
}

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let direction = direction(p.text("Type"))?;
    if !ids::is_task_name(p.text("TaskName")) {
        return Err(fault::value("The TaskName may have 128 characters and must have one."));
    }
    let fs = ask.file_system(p.text("FileSystemId")).await?;
    in_order(ask, &fs).await?;
    let subject = subject(ask, &p, &fs).await?;
    let flow = flow_of(ask, &p, &fs, &subject).await?;
    let spec = spec(ask, &p, &flow, direction, &subject).await?;
    let new = NewTask {
        id: TaskId(ids::new_lifecycle_id(ask.control.random())),
        door: Door::Cfs,
        kind: TaskKind::Transfer,
        parent: None,
        flow: Some(flow.id.clone()),
        spec,
        name: p.text("TaskName").to_owned(),
        attributes: attributes(&p),
        originator: Originator::User,
    };
    let task = ask.control.create_task(&ask.caller, new).await.map_err(|e| ask.fault(&e))?;
    Reply::from_serialize(&Answer { task_id: task.id.as_str() })
}

fn direction(kind: &str) -> Result<Direction, Fault> {
    match kind {
        "archive" => Ok(Direction::Export),
        "restore" => Ok(Direction::Import),
        "metaload" => Err(refuse(
            fault::UNSUPPORTED,
            "metaload comes with load-on-read, which this version does not have. Use restore: it brings names \
             and bytes.",
        )),
        "release" => Err(refuse(
            fault::UNSUPPORTED,
            "release comes with load-on-read, which this version does not have. Archive the files, check the \
             task's receipt, remove them from the file system and restore them when they are needed.",
        )),
        _ => Err(refuse(fault::TASK_TYPE, "The Type must be archive, restore, release or metaload.")),
    }
}

/// Is the directory behind the file system there?
async fn in_order(ask: &Ask<'_>, fs: &FileSystem) -> Result<(), Fault> {
    match ask.control.directory_exists(fs, "").await {
        Ok(true) => Ok(()),
        _ => Err(refuse(fault::FS_STATUS, "The file system is not available.")),
    }
}

async fn subject(ask: &Ask<'_>, p: &Params<'_>, fs: &FileSystem) -> Result<Subject, Fault> {
    match (given(p, "TaskPath"), given(p, "ListPath")) {
        (Some(path), None) => paths::task(path)
            .map(Subject::Path)
            .map_err(|e| refuse(fault::TARGET_PATH, format!("The TaskPath is invalid: {}.", e.reason()))),
        (None, Some(path)) => {
            let at = paths::task(path).map_err(|e| {
                let code = if e == paths::Wrong::Prefix { fault::LIST_PREFIX } else { fault::LIST_INVALID };
                refuse(code, format!("The ListPath is invalid: {}.", e.reason()))
            })?;
            let text =
                ask.control.read_text_file(fs, &at.path, MAX_LIST_BYTES).await.map_err(|e| match e.kind {
                    control::ErrorKind::Invalid
                    | control::ErrorKind::LimitExceeded
                    | control::ErrorKind::BadPath => refuse(fault::LIST_INVALID, list_words()),
                    _ => ask.fault(&e),
                })?;
            lines(&text).map(Subject::List)
        }
        _ => Err(refuse(fault::LIST_AND_TASK, "The request must have one of TaskPath and ListPath.")),
    }
}

fn list_words() -> String {
    format!("The list must be a text file of at most {MAX_LIST_BYTES} bytes and {MAX_LIST_LINES} lines.")
}

/// The paths of a list file; empty lines count for nothing.
fn lines(text: &[u8]) -> Result<Vec<Inside>, Fault> {
    let bad = |words: String| refuse(fault::LIST_INVALID, words);
    let text = std::str::from_utf8(text).map_err(|_| bad("The list is not UTF-8 text.".to_owned()))?;
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        if found.len() == MAX_LIST_LINES {
            return Err(bad(list_words()));
        }
        let at = paths::task(line)
            .map_err(|e| bad(format!("Line {} of the list is invalid: {}.", i + 1, e.reason())))?;
        found.push(at);
    }
    if found.is_empty() { Err(bad("The list is empty.".to_owned())) } else { Ok(found) }
}

impl Subject {
    fn all(&self) -> &[Inside] {
        match self {
            Self::Path(path) => std::slice::from_ref(path),
            Self::List(lines) => lines,
        }
    }

    /// Does a flow bind all of it?
    fn within(&self, flow: &Flow) -> bool {
        self.all().iter().all(|at| at.below(&flow.directory.path).is_some())
    }
}

/// The flow that is named, or the one that binds the subject. Of several the innermost counts; two
/// that bind the same directory must be told apart by the request.
async fn flow_of(ask: &Ask<'_>, p: &Params<'_>, fs: &FileSystem, subject: &Subject) -> Result<Flow, Fault> {
    let outside = || refuse(fault::TARGET_PATH, "The path is outside of the data flow's TargetPath.");
    if let Some(id) = given(p, "DataFlowId") {
        let flow = ask.flow(id, Some(fs.id.as_str())).await?;
        return if subject.within(&flow) { Ok(flow) } else { Err(outside()) };
    }
    let filter =
        FlowFilter { door: Some(Door::Cfs), file_system: Some(fs.id.clone()), ..FlowFilter::default() };
    let page = Page { offset: 0, limit: MAX_FLOWS, newest_first: true };
    let (mut flows, _) = ask.control.flows(&ask.caller, &filter, page).await.map_err(|e| ask.fault(&e))?;
    flows.retain(|flow| subject.within(flow));
    flows.sort_by_key(|flow| std::cmp::Reverse(flow.directory.path.len()));
    let mut flows = flows.into_iter();
    let first = flows.next().ok_or_else(outside)?;
    match flows.next() {
        Some(second) if second.directory.path == first.directory.path => Err(refuse(
            fault::FLOW_ID,
            "Several data flows bind this path; the request must say which by DataFlowId.",
        )),
        _ => Ok(first),
    }
}

async fn spec(
    ask: &Ask<'_>,
    p: &Params<'_>,
    flow: &Flow,
    direction: Direction,
    subject: &Subject,
) -> Result<TransferSpec, Fault> {
    let mut spec = TransferSpec {
        direction,
        object: flow.object.clone(),
        credentials: flow.credentials.clone(),
        directory: flow.directory.clone(),
        selection: Selection::All,
        conflict: states::overwrite(p.bool("IsOverwrite").unwrap_or(false)),
        data: DataType::MetaAndData,
        dialect: DIALECT,
        create_directory: true,
        default_file_mode: FILE_MODE,
        default_dir_mode: DIR_MODE,
    };
    let base = &flow.directory.path;
    match subject {
        Subject::List(lines) => {
            let entries: Vec<String> = lines.iter().filter_map(|at| entry(at, base, at.directory)).collect();
            // A line that is the flow's own directory means all of it.
            if entries.len() == lines.len() {
                spec.selection = Selection::Entries(entries);
            }
        }
        Subject::Path(at) => {
            if let Some(file) = entry(at, base, false) {
                let directory = at.directory || is_directory(ask, at, &spec, &file).await?;
                spec.selection = Selection::Entries(vec![if directory { format!("{file}/") } else { file }]);
            }
        }
    }
    Ok(spec)
}

/// A path relative to the flow's directory; `None` for that directory itself.
fn entry(at: &Inside, base: &str, directory: bool) -> Option<String> {
    let below = at.below(base).filter(|below| !below.is_empty())?;
    Some(if directory { format!("{below}/") } else { below.to_owned() })
}

/// Does a `TaskPath` without a trailing `/` mean a directory? The file system tells what is there. What
/// a restore names may be in the bucket only: it is a file if there is an object of that very name, and
/// otherwise a directory.
async fn is_directory(ask: &Ask<'_>, at: &Inside, spec: &TransferSpec, file: &str) -> Result<bool, Fault> {
    let fs = ask.control.file_system(&spec.directory.file_system).await.map_err(|e| ask.fault(&e))?;
    match ask.control.directory_exists(&fs, &at.path).await {
        Ok(true) => return Ok(true),
        // A file or a link is there: an item like others.
        Err(e) if e.kind == control::ErrorKind::BadPath => return Ok(false),
        Err(e) => return Err(ask.fault(&e)),
        Ok(false) if spec.direction == Direction::Export => {
            return Err(refuse(fault::TARGET_PATH, "There is nothing at the TaskPath."));
        }
        Ok(false) => {}
    }
    let is_object = ask.control.object_exists(spec, file).await.map_err(|e| ask.fault(&e))?;
    Ok(!is_object)
}

fn attributes(p: &Params<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::from([
        (words::FAMILY.to_owned(), words::LIFECYCLE.to_owned()),
        (words::IS_OVERWRITE.to_owned(), p.bool("IsOverwrite").unwrap_or(false).to_string()),
    ]);
    for name in [words::TYPE, words::TASK_NAME, words::FILE_SYSTEM_ID, words::TASK_PATH, words::LIST_PATH] {
        found.insert(name.to_owned(), p.text(name).to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_full_paths() {
        let good = lines(b"/cfs/a/b.txt\n\n/cfs/a/dir/\r\n").unwrap();
        assert_eq!(good.len(), 2);
        assert_eq!((good[1].path.as_str(), good[1].directory), ("a/dir", true));
        for bad in [&b""[..], b"\n\n", b"a/b.txt\n", b"/cfs/../x\n", b"/cfs/\xff\n"] {
            assert_eq!(lines(bad).unwrap_err().code, fault::LIST_INVALID);
        }
        let many = "/cfs/x\n".repeat(MAX_LIST_LINES + 1);
        assert!(lines(many.as_bytes()).is_err());
    }

    #[test]
    fn what_needs_load_on_read_is_refused_with_a_way_out() {
        for kind in ["release", "metaload"] {
            let fault = direction(kind).unwrap_err();
            assert_eq!(fault.code, "UnsupportedOperation");
            assert!(fault.message.contains("load-on-read") && fault.message.contains("estore"));
        }
        assert_eq!(direction("Archive").unwrap_err().code, fault::TASK_TYPE);
    }
}
