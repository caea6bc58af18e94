//! The files of one interval, from the first row to the commit.
//!
//! All data files of a commit are in a folder of its name below the table's data (`data/<commit>/…`), so that what a crash left behind is
//! found and removed as a whole. Before the first of them there is a *note*, a small file `<pipeline>/<commit>.json` in the staging place, which names
//! the splits and the marks that they had: whoever takes over finds it, and can tell when the commit can't come any more ([`sweep`]).
//!
//! The staging place is `metadata/staging/` below the table, or what the options say; then the files are written there first and put to
//! the table's folder right before the commit.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use columnar::{ParquetOptions, RecordBatch};
use connector::{Error, ErrorKind, Result};
use iceberg::arrow::RecordBatchPartitionSplitter;
use iceberg::io::FileIO;
use iceberg::spec::{DataFile, DataFileFormat, Struct, TableMetadata};
use iceberg::table::Table;
use iceberg::writer::base_writer::data_file_writer::{DataFileWriter, DataFileWriterBuilder};
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{DefaultFileNameGenerator, DefaultLocationGenerator};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::partitioning::PartitioningWriter as _;
use iceberg::writer::partitioning::fanout_writer::FanoutWriter;
use iceberg::writer::{IcebergWriter as _, IcebergWriterBuilder as _};
use serde::{Deserialize, Serialize};

use crate::commit::{self, Seats};
use crate::fault::unwrap;
use crate::files::{Files, Staged};
use crate::marks::{self, Marks};

/// Bytes of rows, as Arrow has them, that a row group takes about.
const ROW_GROUP: usize = 32 << 20;
/// Files that a partitioned interval keeps open; beyond it they are all ended.
const MOST_OPEN: usize = 64;
/// Notes that are looked at when a table is taken over.
const MOST_NOTES: usize = 1000;

type Rolling =
    RollingFileWriterBuilder<ParquetWriterBuilder, DefaultLocationGenerator, DefaultFileNameGenerator>;
type Builder =
    DataFileWriterBuilder<ParquetWriterBuilder, DefaultLocationGenerator, DefaultFileNameGenerator>;
type One = DataFileWriter<ParquetWriterBuilder, DefaultLocationGenerator, DefaultFileNameGenerator>;

enum Writer {
    None,
    One(Box<One>),
    Many(Box<FanoutWriter<Builder>>),
}

/// What lies beside the files until the commit is settled.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    commit: String,
    /// The splits, with the marks that the table had for them.
    seats: BTreeMap<String, Option<String>>,
}

/// Where things of a table go.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Ends in a slash.
    data: String,
    /// Ends in a slash; holds notes, and data on its way if `staged`.
    staging: String,
    staged: bool,
}

impl Places {
    pub(crate) fn new(metadata: &TableMetadata, staging: Option<&str>, pipeline: &str) -> Self {
        let location = metadata.location().trim_end_matches('/');
        let data = ["write.data.path", "write.folder-storage.path"];
        let data = data.iter().find_map(|p| metadata.properties().get(*p)).map(|d| d.trim_end_matches('/'));
        Self {
            data: data.map_or_else(|| format!("{location}/data/"), |d| format!("{d}/")),
            staging: match staging {
                Some(s) => format!("{s}/{pipeline}/"),
                None => format!("{location}/metadata/staging/{pipeline}/"),
            },
            staged: staging.is_some(),
        }
    }

    /// Of a commit's data files; ends in a slash.
    fn folder(&self, commit: &str) -> String {
        format!("{}{commit}/", self.data)
    }

    fn note(&self, commit: &str) -> String {
        format!("{}{commit}.json", self.staging)
    }

    fn on_its_way(&self, commit: &str) -> String {
        format!("{}{commit}/", self.staging)
    }
}

/// See the module.
pub(crate) struct Interval {
    pub(crate) commit: String,
    files: Files,
    places: Places,
    folder: String,
    staged: Option<Staged>,
    rolling: Rolling,
    splitter: Option<RecordBatchPartitionSplitter>,
    writer: Writer,
    /// Partitions that the open writer has files for.
    open: HashSet<Struct>,
    done: Vec<DataFile>,
    rows: u64,
}

/// How files are to be.
pub(crate) struct Style<'a> {
    /// The first part of their names.
    pub(crate) name: &'a str,
    pub(crate) target_bytes: usize,
    pub(crate) compression: columnar::Compression,
}

impl Interval {
    /// Begins one: puts the note down.
    pub(crate) async fn begin(
        table: &Table,
        (files, places): (&Files, &Places),
        commit: String,
        style: &Style<'_>,
        seats: &Seats,
    ) -> Result<Self> {
        let metadata = table.metadata();
        let folder = places.folder(&commit);
        put_note(files, places, &commit, seats).await?;
        let staged =
            places.staged.then(|| Staged::new(files.clone(), folder.clone(), places.on_its_way(&commit)));
        let io = staged.as_ref().map_or_else(|| files.io(), Staged::io);
        let spec = metadata.default_partition_spec();
        let splitter = match spec.is_unpartitioned() {
            true => None,
            false => {
                let schema = metadata.current_schema().clone();
                let made = RecordBatchPartitionSplitter::try_new_with_computed_values(schema, spec.clone());
                Some(made.map_err(|e| unwrap(e, "partitions"))?)
            }
        };
        Ok(Self {
            rolling: rolling(metadata, io, &folder, style),
            commit,
            files: files.clone(),
            places: places.clone(),
            folder,
            staged,
            splitter,
            writer: Writer::None,
            open: HashSet::new(),
            done: Vec::new(),
            rows: 0,
        })
    }

    /// Adds rows.
    pub(crate) async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let failed = |e| unwrap(e, "write a data file");
        self.rows += batch.num_rows() as u64;
        let Some(splitter) = &self.splitter else {
            if let Writer::None = self.writer {
                let builder = Builder::new(self.rolling.clone());
                self.writer = Writer::One(Box::new(builder.build(None).await.map_err(failed)?));
            }
            let Writer::One(writer) = &mut self.writer else { return Ok(()) };
            return writer.write(batch).await.map_err(failed);
        };
        let parts = splitter.split(&batch).map_err(|e| unwrap(e, "partitions"))?;
        for (key, part) in parts {
            if self.open.len() >= MOST_OPEN && !self.open.contains(key.data()) {
                self.end_files().await?;
            }
            self.open.insert(key.data().clone());
            if let Writer::None = self.writer {
                self.writer = Writer::Many(Box::new(FanoutWriter::new(Builder::new(self.rolling.clone()))));
            }
            let Writer::Many(writer) = &mut self.writer else { return Ok(()) };
            writer.write(key, part).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Ends the open files.
    async fn end_files(&mut self) -> Result<()> {
        self.open.clear();
        let ended = match std::mem::replace(&mut self.writer, Writer::None) {
            Writer::None => return Ok(()),
            Writer::One(mut writer) => writer.close().await,
            Writer::Many(writer) => writer.close().await,
        };
        self.done.extend(ended.map_err(|e| unwrap(e, "end a data file"))?);
        Ok(())
    }

    /// Splits have come since it began.
    pub(crate) async fn renote(&self, seats: &Seats) -> Result<()> {
        put_note(&self.files, &self.places, &self.commit, seats).await
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends all files and puts them to their places.
    pub(crate) async fn finish(&mut self) -> Result<&[DataFile]> {
        self.end_files().await?;
        if let Some(staged) = &self.staged {
            for file in &self.done {
                let from = staged.place(file.file_path());
                self.files.shift(&from, file.file_path()).await.map_err(|e| e.context("staging"))?;
            }
        }
        Ok(&self.done)
    }

    /// The commit is there: what was beside it goes.
    pub(crate) async fn settle(self) {
        if self.staged.is_some() {
            tell(self.files.remove_all(&self.places.on_its_way(&self.commit)).await);
        }
        tell(self.files.remove(&self.places.note(&self.commit)).await);
    }

    /// The commit will never be there: everything goes.
    pub(crate) async fn abandon(self) {
        drop(self.writer);
        tell(remove(&self.files, &self.places, &self.commit, &self.folder).await);
    }
}

fn tell(done: Result<()>) {
    if let Err(e) = done {
        tracing::info!(error = %e, "a leftover stays until the next start");
    }
}

async fn put_note(files: &Files, places: &Places, commit: &str, seats: &Seats) -> Result<()> {
    let names = seats.iter().map(|(split, seat)| (marks::name(split), seat.clone()));
    let note = Note { commit: commit.to_owned(), seats: names.collect() };
    let text = serde_json::to_vec(&note).map_err(|e| Error::new(ErrorKind::Other, e.to_string()))?;
    files.put(&places.note(commit), Bytes::from(text)).await.map_err(|e| e.context("staging"))
}

async fn remove(files: &Files, places: &Places, commit: &str, folder: &str) -> Result<()> {
    files.remove_all(folder).await?;
    if places.staged {
        files.remove_all(&places.on_its_way(commit)).await?;
    }
    // Last: while it is there, the rest is found again.
    files.remove(&places.note(commit)).await
}

fn rolling(metadata: &TableMetadata, io: FileIO, folder: &str, style: &Style<'_>) -> Rolling {
    let options = ParquetOptions {
        compression: style.compression,
        row_group_bytes: ROW_GROUP,
        ..ParquetOptions::default()
    };
    let parquet = ParquetWriterBuilder::new(options.properties(), metadata.current_schema().clone());
    let location = DefaultLocationGenerator::with_data_location(folder.trim_end_matches('/').to_owned());
    let names = DefaultFileNameGenerator::new(style.name.to_owned(), None, DataFileFormat::Parquet);
    RollingFileWriterBuilder::new(parquet, style.target_bytes, io, location, names)
}

/// Removes what intervals left that were begun by somebody who is gone: those whose commit can't come any more, since one of
/// their splits has been moved on by another. The present table is `table`; `mine` is a commit that is still open.
pub(crate) async fn sweep(
    table: &Table,
    files: &Files,
    places: &Places,
    pipeline: &str,
    mine: Option<&str>,
) -> Result<usize> {
    let metadata = table.metadata();
    let Some(known) = marks::known(metadata, pipeline) else { return Ok(0) };
    let mut swept = 0;
    let notes = files.list(&places.staging).await?.into_iter().filter(|p| p.ends_with(".json"));
    for path in notes.take(MOST_NOTES) {
        let text = match files.get(&path).await {
            Ok(text) => text,
            // Its owner has just removed it.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        let Ok(note) = serde_json::from_slice::<Note>(&text) else { continue };
        if path != places.note(&note.commit)
            || !commit::is_name(&note.commit)
            || Some(note.commit.as_str()) == mine
        {
            continue;
        }
        let data = places.folder(&note.commit);
        let landed = marks::find(metadata, &note.commit).map(|s| s.manifest_list());
        if landed.is_none() && !is_dead(&note, &known) {
            continue;
        }
        let used = landed.is_some() || is_used(table, &data).await?;
        if landed.is_some() || !used {
            commit::remove_attempts(files, metadata, &note.commit, landed).await?;
        }
        if used {
            if places.staged {
                files.remove_all(&places.on_its_way(&note.commit)).await?;
            }
            files.remove(&path).await?;
        } else {
            remove(files, places, &note.commit, &data).await?;
            swept += 1;
        }
    }
    Ok(swept)
}

fn is_dead(note: &Note, known: &Marks) -> bool {
    note.seats.iter().any(|(split, seat)| known.get(split).is_some_and(|now| Some(now) != seat.as_ref()))
}

/// Does any snapshot hold a file below this folder? Its own one may have been expired since.
async fn is_used(table: &Table, folder: &str) -> Result<bool> {
    let failed = |e| unwrap(e, "read the table's manifests");
    let mut seen = HashSet::new();
    for snapshot in table.metadata().snapshots() {
        let list = table.manifest_list_reader(snapshot).load().await.map_err(failed)?;
        for manifest in list.entries() {
            if !seen.insert(manifest.manifest_path.clone()) {
                continue;
            }
            let loaded = manifest.load_manifest(table.file_io()).await.map_err(failed)?;
            if loaded.entries().iter().any(|e| e.file_path().starts_with(folder)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
