//! What `CreateDataFlowTask` asks for, read by the product's rules and turned into a transfer.
//!
//! Paths: `SourceStoragePath + Directory + rest` of the bucket and `FileSystemPath + DstDirectory + rest`
//! of the file system belong together on import, and the other way round on export. Without
//! `DstDirectory` the destination is `Directory` again. Entries of `EntryList` are relative to the flow's
//! own path on their side, and keep that path below `DstDirectory`.

use std::collections::BTreeMap;

use api::Fault;
use model::{
    ConflictPolicy, DataType, Direction, DirectoryEnd, Flow, ObjectEnd, Selection, Task, TaskKind,
    TransferSpec,
};

use crate::family::{Cpfs, Family, Feature};
use crate::request::Request;
use crate::{fault, rules};

/// Mode of files and directories whose object has no POSIX metadata.
const DEFAULT_MODE: u32 = 0o770;

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Bucket to directory.
    Import,
    /// Directory to bucket.
    Export,
    /// Standing channel from the bucket.
    StreamImport,
    /// Standing channel to the bucket.
    StreamExport,
}

impl Action {
    fn read(word: &str, on: &Cpfs) -> Result<Self, Fault> {
        let action = match word {
            "Import" => Self::Import,
            "Export" => Self::Export,
            "StreamImport" => Self::StreamImport,
            "StreamExport" => Self::StreamExport,
            "Evict" | "Inventory" if on.family == Family::General => {
                return Err(fault::action_not_supported("this server does not load files on read yet"));
            }
            _ => return Err(fault::action_not_supported("")),
        };
        if action.is_stream() {
            if on.family == Family::General {
                return Err(fault::action_not_supported("general-purpose CPFS has no streaming tasks"));
            }
            on.require(Feature::Streaming)?;
        }
        Ok(action)
    }

    /// A standing channel?
    #[must_use]
    pub fn is_stream(self) -> bool {
        matches!(self, Self::StreamImport | Self::StreamExport)
    }

    /// Which way the bytes go.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::Import | Self::StreamImport => Direction::Import,
            Self::Export | Self::StreamExport => Direction::Export,
        }
    }
}

/// A checked order.
#[derive(Debug, Clone)]
pub struct TaskOrder {
    /// Kind of task.
    pub kind: TaskKind,
    /// The transfer.
    pub spec: TransferSpec,
    /// Words to keep on the task.
    pub attributes: BTreeMap<String, String>,
}

impl TaskOrder {
    /// Reads the order of a request on this flow.
    ///
    /// # Errors
    /// The codes of `CreateDataFlowTask`.
    pub async fn read(r: &Request<'_>, on: &Cpfs, flow: &Flow) -> Result<Self, Fault> {
        if on.family == Family::General {
            let lingjun =
                ["DstDirectory", "TransferFileListPath", "Includes", "ConflictPolicy", "CreateDirIfNotExist"];
            r.none_of(&lingjun, "general-purpose CPFS")?;
        }
        let source = source_task(r, flow).await?;
        let copied = |name: &str| {
            let of = source.as_ref().and_then(|t| t.attributes.get(name)).filter(|v| !v.is_empty());
            of.map(String::as_str)
        };
        let word = r.given("TaskAction").or_else(|| copied("TaskAction"));
        let word = word.ok_or_else(|| fault::missing("TaskAction"))?;
        let action = Action::read(word, on)?;
        if action.is_stream() && source.is_some() {
            return Err(fault::source_task_invalid());
        }
        let data_word = r.given("DataType").or_else(|| copied("DataType")).unwrap_or("MetaAndData");
        let data = data_type(data_word)?;
        let paths = Paths::read(r, action, copied("EntryList"))?;
        let conflict = conflict(r, on)?;
        let create_directory = create_directory(r, on, action)?;
        let mut attributes = paths.attributes();
        attributes.insert("TaskAction".to_owned(), word.to_owned());
        attributes.insert("DataType".to_owned(), data_word.to_owned());
        for name in ["ConflictPolicy", "SrcTaskId", "DstDirectory", "Includes"] {
            if let Some(value) = r.given(name) {
                attributes.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some(words) = flow.attributes.get("SourceStorage") {
            attributes.insert("SourceStorage".to_owned(), words.clone());
        }
        attributes.insert("FileSystemPath".to_owned(), crate::flow_view::directory_path(flow));
        let spec = TransferSpec {
            direction: action.direction(),
            object: paths.object_end(flow, action.direction()),
            credentials: flow.credentials.clone(),
            directory: paths.directory_end(flow, action.direction()),
            selection: paths.selection,
            conflict,
            data,
            dialect: on.dialect(),
            create_directory,
            default_file_mode: DEFAULT_MODE,
            default_dir_mode: DEFAULT_MODE,
        };
        let kind = if action.is_stream() { TaskKind::Stream } else { TaskKind::Transfer };
        Ok(Self { kind, spec, attributes })
    }
}

/// The task that `SrcTaskId` names: a batch task of this flow.
async fn source_task(r: &Request<'_>, flow: &Flow) -> Result<Option<Task>, Fault> {
    let Some(id) = r.given("SrcTaskId") else { return Ok(None) };
    let form = id.strip_prefix("task-").is_some_and(|rest| {
        !rest.is_empty() && rest.len() <= 64 && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    if !form {
        return Err(fault::source_task_invalid());
    }
    match r.control().task(&r.caller, &id.into()).await {
        Ok(task) if task.flow.as_ref() != Some(&flow.id) => Err(fault::source_task_elsewhere()),
        Ok(task) if task.kind != TaskKind::Transfer => Err(fault::source_task_invalid()),
        Ok(task) => Ok(Some(task)),
        Err(e) if matches!(e.kind, control::ErrorKind::NotFound(_)) => Err(fault::source_task_unknown()),
        Err(e) => Err(fault::of(&e)),
    }
}

fn data_type(word: &str) -> Result<DataType, Fault> {
    match word {
        "Data" | "MetaAndData" => Ok(DataType::MetaAndData),
        "Metadata" => Err(fault::data_type_not_supported(
            "this server does not load files on read yet: use MetaAndData",
        )),
        _ => Err(fault::data_type_not_supported("")),
    }
}

fn conflict(r: &Request<'_>, on: &Cpfs) -> Result<ConflictPolicy, Fault> {
    if on.family == Family::General {
        return Ok(ConflictPolicy::IfChanged);
    }
    match r.required("ConflictPolicy")? {
        "SKIP_THE_FILE" => Ok(ConflictPolicy::Skip),
        "KEEP_LATEST" => Ok(ConflictPolicy::KeepLatest),
        "OVERWRITE_EXISTING" => Ok(ConflictPolicy::Overwrite),
        _ => Err(fault::invalid(
            "ConflictPolicy",
            "it must be SKIP_THE_FILE, KEEP_LATEST or OVERWRITE_EXISTING",
        )),
    }
}

fn create_directory(r: &Request<'_>, on: &Cpfs, action: Action) -> Result<bool, Fault> {
    let Some(wanted) = r.p.bool("CreateDirIfNotExist") else {
        return Ok(on.family == Family::General);
    };
    on.require(Feature::Streaming)?;
    if wanted && action.direction() == Direction::Export {
        return Err(fault::parameter("CreateDirIfNotExist is only for imports"));
    }
    Ok(wanted)
}

/// The paths of an order.
struct Paths {
    /// `Directory` as given.
    directory: Option<String>,
    /// Text of the entry list, given or copied.
    entry_list: Option<String>,
    /// `TransferFileListPath` as given.
    list_path: Option<String>,
    /// Source side below the flow's path, relative.
    from: String,
    /// Destination side below the flow's path, relative.
    to: String,
    selection: Selection,
}

impl Paths {
    fn read(r: &Request<'_>, action: Action, copied_entries: Option<&str>) -> Result<Self, Fault> {
        let (directory, list_path) = (r.given("Directory"), r.given("TransferFileListPath"));
        let given = r.given("EntryList");
        if usize::from(directory.is_some()) + usize::from(list_path.is_some()) + usize::from(given.is_some())
            > 1
        {
            return Err(fault::parameter(
                "only one of Directory, EntryList and TransferFileListPath may be specified",
            ));
        }
        if action.is_stream() {
            r.none_of(&["EntryList", "TransferFileListPath", "Includes"], "streaming tasks")?;
        }
        let copied = copied_entries.filter(|_| directory.is_none() && list_path.is_none());
        let entry_list = given.or(copied);
        for (name, path) in [
            ("Directory", directory),
            ("DstDirectory", r.given("DstDirectory")),
            ("TransferFileListPath", list_path),
        ] {
            path.map_or(Ok(()), |p| rules::directory(name, p, 1, rules::PATH_BYTES))?;
        }
        let to = r.given("DstDirectory").or(directory).map(rules::relative).unwrap_or_default();
        Ok(Self {
            directory: directory.map(str::to_owned),
            entry_list: entry_list.map(str::to_owned),
            list_path: list_path.map(str::to_owned),
            from: directory.map(rules::relative).unwrap_or_default(),
            to,
            selection: selection(r, directory, entry_list, list_path)?,
        })
    }

    fn attributes(&self) -> BTreeMap<String, String> {
        let all = [
            ("Directory", &self.directory),
            ("EntryList", &self.entry_list),
            ("TransferFileListPath", &self.list_path),
        ];
        all.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v.clone()?))).collect()
    }

    fn object_end(&self, flow: &Flow, direction: Direction) -> ObjectEnd {
        let below = if direction == Direction::Import { &self.from } else { &self.to };
        ObjectEnd { prefix: format!("{}{below}", flow.object.prefix), ..flow.object.clone() }
    }

    fn directory_end(&self, flow: &Flow, direction: Direction) -> DirectoryEnd {
        let below = if direction == Direction::Import { &self.to } else { &self.from };
        DirectoryEnd { path: format!("{}{below}", flow.directory.path), ..flow.directory.clone() }
    }
}

fn selection(
    r: &Request<'_>,
    directory: Option<&str>,
    entry_list: Option<&str>,
    list_path: Option<&str>,
) -> Result<Selection, Fault> {
    let includes = r.given("Includes").map(rules::includes).transpose()?;
    if includes.is_some() && directory.is_none() {
        return Err(fault::parameter("Includes goes with Directory only"));
    }
    Ok(match (includes, entry_list, list_path) {
        (Some(list), _, _) => Selection::Includes(list),
        (None, Some(text), _) => Selection::Entries(rules::entry_list(text)?),
        (None, None, Some(path)) => Selection::CsvUnder(rules::relative(path)),
        (None, None, None) => Selection::All,
    })
}
