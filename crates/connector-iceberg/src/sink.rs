//! The sink: rows gather in columns, go to files when there are many, and become a snapshot when the interval is over.

mod table;

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use columnar::{Change as SchemaChange, Decoder, Record, Reject, RowError, SchemaRef};
use connector::records::{
    Books, Context, Endpoint, Mark, RecordSink, Refused, Settled, SharedHost, Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use iceberg::table::Table;
use runtime::Lease;
use table::beyond_help;

use crate::catalogue::Catalogue;
use crate::commit::{self, Job, Lost, Seats};
use crate::expire;
use crate::files::Files;
use crate::interval::{self, Interval, Places, Style};
use crate::look::{Found, absent};
use crate::marks::{self, Marks};
use crate::options::{self, Connection, Plan};

/// Columns that are held before they go to files.
const MOST_HELD: usize = 32 << 20;

/// A sink that appends to a table.
///
/// # Errors
/// `Unacceptable` bad options.
pub fn sink(endpoint: &Endpoint, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
    over(endpoint, context, host, |catalogue| catalogue)
}

/// The same with something between it and its catalogue.
pub(crate) fn over(
    endpoint: &Endpoint,
    context: &Context,
    host: SharedHost,
    between: impl FnOnce(Box<dyn Catalogue>) -> Box<dyn Catalogue>,
) -> Result<Box<dyn RecordSink>> {
    let (connection, plan) = options::read(endpoint)?;
    let files = connection.files()?;
    Ok(Box::new(IcebergSink {
        catalogue: between(connection.catalogue(&files)?),
        connection,
        files,
        plan,
        host,
        most_held: MOST_HELD,
        context: context.clone(),
        target: None,
        lines: BTreeMap::new(),
        seats: Seats::new(),
        books: Books::default(),
        interval: None,
        begun_us: None,
        settled: HashMap::new(),
        swept: false,
        broken: None,
        lease: None,
    }))
}

/// The table as it was loaded last.
struct Target {
    table: Table,
    columns: SchemaRef,
    places: Places,
}

/// A split that is open.
struct Line {
    decoder: Decoder,
    /// It has rows that are not committed.
    pending: bool,
}

struct IcebergSink {
    connection: Connection,
    plan: Plan,
    context: Context,
    host: SharedHost,
    files: Files,
    catalogue: Box<dyn Catalogue>,
    target: Option<Target>,
    lines: BTreeMap<Split, Line>,
    seats: Seats,
    /// Marks of what was taken.
    books: Books,
    interval: Option<Interval>,
    /// When the first row came that is not committed.
    begun_us: Option<i64>,
    settled: HashMap<Split, Mark>,
    /// What others left was looked for since splits were taken over.
    swept: bool,
    /// Why nothing more can be done with this sink.
    broken: Option<String>,
    most_held: usize,
    lease: Option<Lease>,
}

/// How far a unit's records went.
enum Took {
    All(Vec<Refused>),
    /// The record at this index wants another schema. Nothing of the unit is in the columns.
    Drift(usize, Vec<SchemaChange>),
}

fn not_open(split: &Split) -> Error {
    Error::new(ErrorKind::Other, format!("{split} was not opened"))
}

impl IcebergSink {
    fn check(&self) -> Result<()> {
        match &self.broken {
            Some(why) => Err(Error::new(ErrorKind::Unavailable, why.clone())),
            None => Ok(()),
        }
    }

    fn target(&self) -> Result<&Target> {
        self.target.as_ref().ok_or_else(|| Error::new(ErrorKind::Other, "the table was not opened"))
    }

    /// Reads a unit's records into its split's columns.
    fn take(&mut self, unit: &Unit, hopeless: &HashMap<usize, String>) -> Result<Took> {
        let split = unit.batch.split();
        let target = self.target.as_ref();
        let Some(line) = self.lines.get_mut(split) else { return Err(not_open(split)) };
        let before = line.decoder.len();
        let mut refused = Vec::new();
        let mut refuse = |index: usize, reason: String| {
            refused.push(Refused { index, kind: ErrorKind::Unacceptable, reason });
        };
        for (index, r) in unit.batch.iter().enumerate() {
            let record = Record {
                value: r.value,
                key: r.key,
                timestamp_ms: r.timestamp_ms,
                partition: split.partition,
                offset: r.offset,
                topic: split.source_topic(),
            };
            match line.decoder.push(&record) {
                Ok(()) => {}
                Err(Reject::Drift(changes)) => {
                    match hopeless.get(&index).cloned().or_else(|| beyond_help(target, &changes)) {
                        Some(why) => refuse(index, why),
                        None => {
                            line.decoder.rewind(before);
                            return Ok(Took::Drift(index, changes));
                        }
                    }
                }
                Err(bad) => refuse(index, RowError::from(bad).to_string()),
            }
        }
        line.pending |= line.decoder.len() > before;
        Ok(Took::All(refused))
    }

    fn held(&self) -> usize {
        self.lines.values().map(|l| l.decoder.bytes()).sum()
    }

    /// Columns go to files.
    async fn spill(&mut self) -> Result<()> {
        if self.lines.values().all(|l| l.decoder.is_empty()) {
            return Ok(());
        }
        if self.interval.is_none() {
            let target = self.target()?;
            let name = format!("{}-{}", self.context.pipeline, self.context.lane);
            let style = Style {
                name: &name,
                target_bytes: self.plan.target_file_bytes,
                compression: self.plan.compression,
            };
            let commit = commit::name(&self.context.random);
            let at = (&self.files, &target.places);
            self.interval = Some(Interval::begin(&target.table, at, commit, &style, &self.seats).await?);
        }
        for line in self.lines.values_mut().filter(|l| !l.decoder.is_empty()) {
            let batch = line.decoder.finish().map_err(|e| Error::new(ErrorKind::Other, e.to_string()))?;
            if let Some(interval) = &mut self.interval {
                interval.write(batch).await?;
            }
        }
        Ok(())
    }

    /// Everything taken so far becomes a snapshot.
    async fn commit(&mut self) -> Result<()> {
        let done = match self.spill().await {
            Ok(()) => self.commit_files().await,
            Err(e) => {
                if let Some(interval) = self.interval.take() {
                    interval.abandon().await;
                }
                Err(e)
            }
        };
        if let Err(e) = &done {
            self.broken = Some(format!("the table's last commit failed: {e}"));
        }
        done
    }

    async fn commit_files(&mut self) -> Result<()> {
        let Some(mut interval) = self.interval.take() else { return Ok(()) };
        let marks = self.marks();
        let data = match interval.finish().await {
            Ok(data) => data.to_vec(),
            Err(e) => {
                interval.abandon().await;
                return Err(e);
            }
        };
        let job = Job {
            catalogue: &*self.catalogue,
            files: &self.files,
            random: &self.context.random,
            ident: &self.plan.ident,
            pipeline: &self.context.pipeline,
            commit: &interval.commit,
            data: &data,
            seats: &self.seats,
            marks: &marks,
        };
        match job.run().await {
            Ok(()) => {}
            Err(lost) => {
                if let Lost::Never(_) = lost {
                    interval.abandon().await;
                }
                return Err(lost.into_error());
            }
        }
        tracing::debug!(table = %self.plan.ident, rows = interval.rows(), files = data.len(), "committed a snapshot");
        interval.settle().await;
        self.committed_now(&marks);
        self.after_commit().await;
        Ok(())
    }

    /// What the open splits are moved to.
    fn marks(&self) -> Marks {
        let moved = self.lines.keys().filter_map(|split| {
            let mark = self.books.mark(split).filter(|m| *m != Mark::default())?;
            let text = mark.to_text();
            let seat = self.seats.get(split).cloned().flatten();
            (seat.as_ref() != Some(&text)).then(|| (marks::name(split), text))
        });
        moved.collect()
    }

    fn committed_now(&mut self, marks: &Marks) {
        for (split, line) in &mut self.lines {
            if let Some(text) = marks.get(&marks::name(split)) {
                self.seats.insert(split.clone(), Some(text.clone()));
            }
            if std::mem::take(&mut line.pending)
                && let Some(mark) = self.books.mark(split)
            {
                self.settled.insert(split.clone(), mark);
            }
        }
        self.begun_us = None;
    }

    /// The table may have been changed by others; and what others left may go now. None of this can fail the commit.
    async fn after_commit(&mut self) {
        let loaded = match self.catalogue.load(&self.plan.ident).await {
            Ok(Some(table)) => table,
            Ok(None) => return,
            Err(e) => {
                tracing::info!(error = %e, "the table can't be loaded after a commit");
                return;
            }
        };
        if let Err(e) = self.adopt(loaded.clone()) {
            tracing::warn!(error = %e, "the table was changed so that records no longer fit");
            self.broken = Some(e.to_string());
            return;
        }
        let Some(target) = &self.target else { return };
        if !self.swept {
            let pipeline = &self.context.pipeline;
            match interval::sweep(&loaded, &self.files, &target.places, pipeline, None).await {
                Ok(n) => {
                    self.swept = true;
                    if n > 0 {
                        tracing::info!(intervals = n, "removed what earlier runs left");
                    }
                }
                Err(e) => tracing::info!(error = %e, "leftovers of earlier runs stay for now"),
            }
        }
        if let (Some(keep), 0) = (self.plan.keep_snapshots, self.context.lane) {
            let expired = expire::expire(&*self.catalogue, &self.files, &loaded, keep).await;
            if let Err(e) = expired {
                tracing::info!(error = %e, "old snapshots stay for now");
            }
        }
    }
}

#[async_trait(?Send)]
impl RecordSink for IcebergSink {
    fn describe(&self) -> String {
        format!("iceberg {} {}", self.connection.describe(), self.plan.ident)
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        self.check()?;
        if self.lines.is_empty() {
            self.load().await?;
        }
        let loaded = self.catalogue.load(&self.plan.ident).await?;
        let table = loaded.ok_or_else(|| absent(&self.plan, Found::NoTable))?;
        let theirs = marks::known(table.metadata(), &self.context.pipeline).unwrap_or_default();
        let mut found = Vec::with_capacity(known.len());
        for (split, _) in known {
            let text = theirs.get(&marks::name(split)).cloned();
            found.push(text.as_deref().and_then(Mark::parse));
            self.seats.insert(split.clone(), text);
        }
        Ok(found)
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        let asked: Vec<_> = splits.iter().filter(|(s, _)| !self.seats.contains_key(s)).collect();
        if !asked.is_empty() || self.target.is_none() {
            let asked: Vec<_> = asked.into_iter().map(|(s, m)| (s.clone(), Some(*m))).collect();
            self.committed(&asked).await?;
        }
        if self.lease.is_none() {
            let (bytes, lease) = http_pool::share(&self.context.budget, MOST_HELD, 1).await;
            (self.most_held, self.lease) = (bytes, Some(lease));
        }
        for (split, mark) in splits {
            let decoder = self.decoder()?;
            self.books.open(split.clone(), *mark);
            self.lines.insert(split.clone(), Line { decoder, pending: false });
        }
        self.swept = false;
        match &self.interval {
            Some(interval) => interval.renote(&self.seats).await,
            None => Ok(()),
        }
    }

    async fn close(&mut self, splits: &[Split]) {
        for split in splits {
            let line = self.lines.remove(split);
            if self.interval.is_some() && line.is_some() {
                // Files hold rows of it, or its name stands in the note that says who may remove them.
                self.broken = Some(format!("{split} was lost while its rows were on their way"));
            }
            self.seats.remove(split);
            self.books.close(split);
            self.settled.remove(split);
        }
        if self.broken.is_some()
            && let Some(interval) = self.interval.take()
        {
            interval.abandon().await;
        }
        if self.lines.values().all(|l| !l.pending) {
            self.begun_us = None;
        }
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        self.check()?;
        let mut hopeless = HashMap::new();
        let refused = loop {
            match self.take(&unit, &hopeless)? {
                Took::All(refused) => break refused,
                Took::Drift(index, changes) => {
                    self.commit().await?;
                    match self.evolve(&changes).await {
                        Ok(()) => {}
                        Err(e) if e.kind() == ErrorKind::Unacceptable => {
                            hopeless.insert(index, e.to_string());
                        }
                        Err(e) => return Err(e),
                    }
                }
            }
        };
        let account = match refused.is_empty() {
            true => unit.all_written(),
            false => {
                let which: Vec<_> = refused.iter().map(|r| r.index).collect();
                let ruling = match self.host.refuse(&unit, refused).await {
                    Ok(ruling) => ruling,
                    Err(e) => {
                        // Rows of the unit are among the others: nothing of them may be committed.
                        self.broken = Some(e.to_string());
                        return Err(e);
                    }
                };
                unit.written_but(&which, ruling)
            }
        };
        let split = unit.batch.split().clone();
        let mark = self.books.after(&unit, &account);
        self.books.settle(&split, mark);
        if self.lines.get(&split).is_some_and(|l| l.pending) {
            self.begun_us.get_or_insert_with(|| self.context.clock.now().0);
        } else {
            self.settled.insert(split, mark);
        }
        drop(unit);
        if self.held() >= self.most_held {
            let spilt = self.spill().await;
            if let Err(e) = &spilt {
                self.broken = Some(format!("rows could not be written to files: {e}"));
            }
            return spilt;
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        self.check()?;
        let Some(begun) = self.begun_us else { return Ok(()) };
        let now = self.context.clock.now().0;
        // The clock may have been set back.
        let begun = begun.min(now);
        self.begun_us = Some(begun);
        if now - begun < i64::try_from(self.plan.interval.as_micros()).unwrap_or(i64::MAX) {
            return Ok(());
        }
        self.commit().await
    }

    async fn flush(&mut self) -> Result<()> {
        self.check()?;
        self.commit().await
    }

    fn settled(&mut self) -> Vec<Settled> {
        self.settled.drain().map(|(split, mark)| Settled { split, mark }).collect()
    }
}
