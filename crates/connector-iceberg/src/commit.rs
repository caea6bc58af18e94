//! One commit: data files and marks as one snapshot, exactly once.
//!
//! The crate's transaction builds manifests and tells what should change, but doesn't say whether a commit that failed may have been carried out,
//! and on a conflict it would try again with the marks of before. So it is only asked for its plan ([`Asked`] is a catalogue that keeps what
//! it is given), and the loop is here: load the table, look whether the commit is there already, look whether anybody else has moved our
//! splits, plan with the marks of this very table, swap. Each attempt has manifests of its own; what is left of the failed ones goes when the commit is
//! settled and can't land any more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connector::records::Split;
use connector::{Error, ErrorKind, Result};
use iceberg::spec::{DataFile, TableMetadata};
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction as _, Transaction};
use iceberg::{Catalog, Namespace, NamespaceIdent, TableCommit, TableCreation, TableIdent, TableUpdate};
use runtime::Random;
use uuid::Uuid;

use crate::catalogue::{Catalogue, Change, Refusal};
use crate::fault::unwrap;
use crate::files::Files;
use crate::marks::{self, Marks};

/// Attempts of one commit.
const ATTEMPTS: u32 = 12;
/// Between them, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The marks that a table had for each of our splits when we took it over, or committed last.
pub(crate) type Seats = HashMap<Split, Option<String>>;

/// A commit to be made.
pub(crate) struct Job<'a> {
    pub(crate) catalogue: &'a dyn Catalogue,
    pub(crate) files: &'a Files,
    pub(crate) random: &'a Random,
    pub(crate) ident: &'a TableIdent,
    pub(crate) pipeline: &'a str,
    /// Its identity.
    pub(crate) commit: &'a str,
    pub(crate) data: &'a [DataFile],
    pub(crate) seats: &'a Seats,
    /// Marks that it leads to.
    pub(crate) marks: &'a Marks,
}

/// How a commit ended that is not there.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It is not there and can't come any more: its files are nobody's.
    Never(Error),
    /// It may still be there: its files must stay.
    Perhaps(Error),
}

impl Lost {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Never(e) | Self::Perhaps(e) => e,
        }
    }
}

/// The words of a fenced sink.
pub(crate) fn fenced(split: &str) -> Error {
    Error::new(ErrorKind::Changed, format!("{split}: another owner has moved the split on in this table"))
}

/// Has somebody else moved one of our splits?
pub(crate) fn rival(metadata: &TableMetadata, pipeline: &str, seats: &Seats) -> Option<String> {
    // Without any of our snapshots in the line (they were expired, or the table was rolled back to before) nobody has moved anything.
    let known = marks::known(metadata, pipeline)?;
    seats.iter().find_map(|(split, seat)| {
        let name = marks::name(split);
        let theirs = known.get(&name);
        (theirs != seat.as_ref() && theirs.is_some()).then_some(name)
    })
}

impl Job<'_> {
    /// Makes it. Returns the table as it was loaded before the swap that succeeded.
    pub(crate) async fn run(&self) -> Result<(), Lost> {
        let mut leftovers = Vec::new();
        let mut last = Error::new(ErrorKind::Unavailable, "the commit was not tried");
        let mut open = false;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.pause(attempt).await;
            }
            let loaded = match self.catalogue.load(self.ident).await {
                Ok(Some(table)) => table,
                Ok(None) => {
                    let e = Error::new(ErrorKind::NotFound, format!("the table {} is gone", self.ident));
                    return Err(lost(open, e));
                }
                Err(e) if e.kind().is_transient() => {
                    last = e;
                    continue;
                }
                Err(e) => return Err(lost(open, e)),
            };
            if let Some(snapshot) = marks::find(loaded.metadata(), self.commit) {
                let mine = snapshot.manifest_list().to_owned();
                self.clear(&leftovers, Some(&mine)).await;
                return Ok(());
            }
            if let Some(split) = rival(loaded.metadata(), self.pipeline, self.seats) {
                // The table has moved on from what any attempt was for. But one whose answer was lost may have landed, and another owner
                // gone on from its marks, and its snapshot been expired since: then later snapshots hold its files.
                return Err(self.give_up(&leftovers, open, fenced(&split)).await);
            }
            let id = attempt_id(self.commit, attempt);
            leftovers.push(Attempt::new(&loaded, id));
            let change = match self.plan(&loaded, id).await {
                Ok(change) => change,
                Err(e) if e.kind().is_transient() => {
                    last = e;
                    continue;
                }
                Err(e) => return Err(lost(open, e)),
            };
            if let Some(attempt) = leftovers.last_mut() {
                attempt.note(&change);
            }
            match self.catalogue.commit(&loaded, change).await {
                Ok(()) => {
                    leftovers.pop();
                    self.clear(&leftovers, None).await;
                    return Ok(());
                }
                Err(Refusal::Conflict) => {
                    last = Error::new(ErrorKind::Throttled, "other writers keep changing the table");
                }
                Err(Refusal::Failed(e)) => return Err(self.give_up(&leftovers, open, e).await),
                Err(Refusal::Unknown(e)) => {
                    tracing::info!(table = %self.ident, error = %e, "it is not known whether a commit was made");
                    open = true;
                    last = e;
                }
            }
        }
        Err(self.give_up(&leftovers, open, last.context("commit")).await)
    }

    /// What attempts have left goes only if none of them may have landed.
    async fn give_up(&self, leftovers: &[Attempt], open: bool, e: Error) -> Lost {
        if !open {
            self.clear(leftovers, None).await;
        }
        lost(open, e)
    }

    async fn pause(&self, attempt: u32) {
        let longest = Duration::from_millis(50).saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE);
        let [a, b] = self.random.bytes::<2>();
        let part = u32::from(u16::from_le_bytes([a, b]));
        tokio::time::sleep(longest.saturating_mul(part) / u32::from(u16::MAX)).await;
    }

    /// What the table is to become.
    async fn plan(&self, table: &Table, id: Uuid) -> Result<Change> {
        let mut marks = marks::known(table.metadata(), self.pipeline).unwrap_or_default();
        marks.extend(self.marks.clone());
        let text = serde_json::to_string(&marks).map_err(|e| Error::new(ErrorKind::Other, e.to_string()))?;
        let properties = HashMap::from([
            (marks::COMMIT.to_owned(), self.commit.to_owned()),
            (marks::property(self.pipeline), text),
        ]);
        let asked = Asked { table: table.clone(), commit: Mutex::new(None) };
        let transaction = Transaction::new(table);
        let append = transaction
            .fast_append()
            // Our files have names that nobody else gives.
            .with_check_duplicate(false)
            .set_commit_uuid(id)
            .set_snapshot_properties(properties)
            .add_data_files(self.data.to_vec());
        let planned = async { append.apply(transaction)?.commit(&asked).await };
        planned.await.map_err(|e| unwrap(e, "prepare a snapshot"))?;
        asked.take()
    }

    /// Removes what attempts left, but for the one that succeeded. What can't be removed now stays.
    async fn clear(&self, leftovers: &[Attempt], but: Option<&str>) {
        for attempt in leftovers {
            if but.is_some() && attempt.list.as_deref() == but {
                continue;
            }
            for path in attempt.list.iter().chain([&attempt.manifest]) {
                if let Err(e) = self.files.remove(path).await {
                    tracing::info!(path, error = %e, "a file of a failed commit stays");
                }
            }
        }
    }
}

/// A new commit's name: 32 hex digits, of which the last two are the place for an attempt's number.
pub(crate) fn name(random: &Random) -> String {
    format!("{}00", random.hex(30))
}

/// Has a note's commit a name as commits have them? With a staging place outside of the table, others can write notes: nothing that they say
/// may lead anywhere but to the files of one commit. Names of 16 digits are from earlier versions.
pub(crate) fn is_name(commit: &str) -> bool {
    let digits = commit.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    digits && (commit.len() == 16 || commit.len() == 32 && commit.ends_with("00"))
}

/// The id of an attempt, by which its manifests are named. It follows from the commit's name, so that whoever takes over finds them; and
/// no other name leads to it.
fn attempt_id(commit: &str, attempt: u32) -> Uuid {
    let name = u128::from_str_radix(commit, 16).unwrap_or_default();
    Uuid::from_u128(name | u128::from(attempt))
}

/// Removes the manifests of a commit's attempts, but for those of the snapshot whose list is at `but`.
pub(crate) async fn remove_attempts(
    files: &Files,
    metadata: &TableMetadata,
    commit: &str,
    but: Option<&str>,
) -> Result<()> {
    let ids: Vec<_> = (0..ATTEMPTS).map(|n| attempt_id(commit, n).to_string()).collect();
    let ids: Vec<_> = ids.iter().filter(|id| !but.is_some_and(|b| b.contains(id.as_str()))).collect();
    for path in files.list(&format!("{}/metadata/", metadata.location().trim_end_matches('/'))).await? {
        let name = path.rsplit('/').next().unwrap_or(&path);
        if name.ends_with(".avro") && ids.iter().any(|id| name.contains(id.as_str())) {
            files.remove(&path).await?;
        }
    }
    Ok(())
}

fn lost(open: bool, e: Error) -> Lost {
    if open { Lost::Perhaps(e) } else { Lost::Never(e) }
}

/// Files of one attempt.
struct Attempt {
    manifest: String,
    list: Option<String>,
}

impl Attempt {
    fn new(table: &Table, id: Uuid) -> Self {
        // The crate's own naming: an append has one new manifest.
        Self { manifest: format!("{}/metadata/{id}-m0.avro", table.metadata().location()), list: None }
    }

    fn note(&mut self, change: &Change) {
        self.list = change.updates.iter().find_map(|u| match u {
            TableUpdate::AddSnapshot { snapshot } => Some(snapshot.manifest_list().to_owned()),
            _ => None,
        });
    }
}

/// A catalogue that has one table and keeps the commit that it is given.
#[derive(Debug)]
pub(crate) struct Asked {
    table: Table,
    commit: Mutex<Option<TableCommit>>,
}

impl Asked {
    pub(crate) fn new(table: Table) -> Self {
        Self { table, commit: Mutex::new(None) }
    }

    pub(crate) fn take(&self) -> Result<Change> {
        let kept = self.commit.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut kept = kept.ok_or_else(|| Error::new(ErrorKind::Other, "the transaction has no change"))?;
        Ok(Change { requirements: kept.take_requirements(), updates: kept.take_updates() })
    }
}

fn no<T>() -> iceberg::Result<T> {
    Err(iceberg::Error::new(iceberg::ErrorKind::FeatureUnsupported, "this catalogue only keeps a commit"))
}

#[async_trait]
impl Catalog for Asked {
    async fn list_namespaces(&self, _: Option<&NamespaceIdent>) -> iceberg::Result<Vec<NamespaceIdent>> {
        no()
    }

    async fn create_namespace(
        &self,
        _: &NamespaceIdent,
        _: HashMap<String, String>,
    ) -> iceberg::Result<Namespace> {
        no()
    }

    async fn get_namespace(&self, _: &NamespaceIdent) -> iceberg::Result<Namespace> {
        no()
    }

    async fn namespace_exists(&self, _: &NamespaceIdent) -> iceberg::Result<bool> {
        no()
    }

    async fn update_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> iceberg::Result<()> {
        no()
    }

    async fn drop_namespace(&self, _: &NamespaceIdent) -> iceberg::Result<()> {
        no()
    }

    async fn list_tables(&self, _: &NamespaceIdent) -> iceberg::Result<Vec<TableIdent>> {
        no()
    }

    async fn create_table(&self, _: &NamespaceIdent, _: TableCreation) -> iceberg::Result<Table> {
        no()
    }

    async fn load_table(&self, _: &TableIdent) -> iceberg::Result<Table> {
        Ok(self.table.clone())
    }

    async fn drop_table(&self, _: &TableIdent) -> iceberg::Result<()> {
        no()
    }

    async fn purge_table(&self, _: &TableIdent) -> iceberg::Result<()> {
        no()
    }

    async fn table_exists(&self, _: &TableIdent) -> iceberg::Result<bool> {
        no()
    }

    async fn rename_table(&self, _: &TableIdent, _: &TableIdent) -> iceberg::Result<()> {
        no()
    }

    async fn register_table(&self, _: &TableIdent, _: String) -> iceberg::Result<Table> {
        no()
    }

    async fn update_table(&self, commit: TableCommit) -> iceberg::Result<Table> {
        *self.commit.lock().unwrap_or_else(PoisonError::into_inner) = Some(commit);
        Ok(self.table.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_attempts_of_its_own_only() {
        let name = name(&Random::system());
        assert!(is_name(&name) && is_name("0123456789abcdef"));
        for forged in [attempt_id(&name, 1).simple().to_string(), name.to_uppercase(), format!("{name}0")] {
            assert!(!is_name(&forged) || forged == name, "{forged}");
        }
        let ids: std::collections::BTreeSet<_> = (0..ATTEMPTS).map(|n| attempt_id(&name, n)).collect();
        assert_eq!(ids.len(), ATTEMPTS as usize);
    }
}
