//! Flows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use model::{FilesetId, FilesetStatus, Flow, FlowId};

use crate::db::{Db, Durability, Row, Tx, Value, values};
use crate::places::{lock_file_system, refuse_if_full};
use crate::query::{Conditions, MAX_ATTRIBUTE};
use crate::records::{FilesetRecord, FlowRecord, decode, encode};
use crate::shelf::MAX_ROWS;
use crate::{Error, ErrorKind, FlowFilter, Page, Result, Store};
use sqlx::AssertSqlSafe;

/// How often a change is tried again when somebody else was quicker.
const TRIES: usize = 16;

/// Position of every flow in the copy that the shelf holds.
#[derive(Default)]
pub(crate) struct Catalogue(Mutex<Option<Indexed>>);

struct Indexed {
    copy: Arc<Vec<Arc<Flow>>>,
    at: Arc<HashMap<FlowId, usize>>,
}

impl Catalogue {
    fn find(&self, copy: &Arc<Vec<Arc<Flow>>>, id: &FlowId) -> Option<Arc<Flow>> {
        let at = {
            let Ok(mut known) = self.0.lock() else { return copy.iter().find(|f| f.id == *id).cloned() };
            match &*known {
                Some(k) if Arc::ptr_eq(&k.copy, copy) => k.at.clone(),
                _ => {
                    let at: HashMap<_, _> = copy.iter().enumerate().map(|(i, f)| (f.id.clone(), i)).collect();
                    let at = Arc::new(at);
                    *known = Some(Indexed { copy: copy.clone(), at: at.clone() });
                    at
                }
            }
        };
        at.get(id).and_then(|i| copy.get(*i)).cloned()
    }
}

impl FlowFilter {
    /// Does `f` answer this question? The same rule as the SQL text below; a test compares the two.
    #[must_use]
    pub fn matches(&self, f: &Flow) -> bool {
        let has = |text: &str, part: &Option<String>| part.as_ref().is_none_or(|p| text.contains(p.as_str()));
        let any = |list: &[String], v: Option<&String>| v.is_some_and(|v| list.contains(v));
        self.account.as_ref().is_none_or(|a| *a == f.account)
            && self.file_system.as_ref().is_none_or(|i| *i == f.directory.file_system)
            && self.door.is_none_or(|d| d == f.door)
            && (self.ids.is_empty() || self.ids.contains(&f.id))
            && (self.fileset.is_empty() || f.fileset.as_ref().is_some_and(|i| self.fileset.contains(i)))
            && (self.statuses.is_empty() || self.statuses.contains(&f.status))
            && self.bucket.as_ref().is_none_or(|b| *b == f.object.bucket)
            && has(&f.directory.path, &self.path_like)
            && has(&f.object.prefix, &self.prefix_like)
            && has(&f.description, &self.description_like)
            && has(&f.name, &self.name_like)
            && self
                .attributes
                .iter()
                .all(|(k, list)| any(list, f.attributes.get(k).filter(|v| v.len() <= MAX_ATTRIBUTE)))
    }

    fn conditions(&self) -> Conditions {
        let mut c = Conditions::default();
        c.equal("account", self.account.as_ref().map(|a| a.as_str()));
        c.equal("file_system", self.file_system.as_ref().map(|i| i.as_str()));
        c.equal("door", self.door.map(|d| d.name()));
        c.any("id", self.ids.iter().map(|i| i.as_str()));
        c.any("fileset", self.fileset.iter().map(|i| i.as_str()));
        c.any("status", self.statuses.iter().map(|s| s.name()));
        c.equal("bucket", self.bucket.as_deref());
        c.contains("path", self.path_like.as_deref());
        c.contains("prefix", self.prefix_like.as_deref());
        c.contains("description", self.description_like.as_deref());
        c.contains("name", self.name_like.as_deref());
        for (key, list) in &self.attributes {
            c.attribute("flow_attributes", "flow", "flows.id", key, list);
        }
        c
    }
}

fn flow(row: &Row) -> Result<Flow> {
    decode::<FlowRecord>(&row.text(0)?)?.noun()
}

async fn load(db: &Db) -> Result<Vec<Arc<Flow>>> {
    let sql = "SELECT record FROM flows ORDER BY created, id LIMIT $1";
    let most = i64::try_from(MAX_ROWS + 1).unwrap_or(i64::MAX);
    db.rows(sql, values![most]).await?.iter().map(|row| flow(row).map(Arc::new)).collect()
}

fn select<'a>(all: &'a [Arc<Flow>], filter: &FlowFilter, page: Page) -> (Vec<&'a Arc<Flow>>, u64) {
    let found: Vec<_> = all.iter().filter(|f| filter.matches(f)).collect();
    let total = found.len() as u64;
    let skip = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let take = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let pick = if page.newest_first {
        found.into_iter().rev().skip(skip).take(take).collect()
    } else {
        found.into_iter().skip(skip).take(take).collect()
    };
    (pick, total)
}

impl Store {
    /// All flows in memory, if they may be kept there and are few enough.
    async fn kept_flows(&self) -> Result<Option<Arc<Vec<Arc<Flow>>>>> {
        if !self.0.db.is_ours_alone() {
            return Ok(None);
        }
        let all = self.0.flows.all(load(&self.0.db)).await?;
        Ok((all.len() <= MAX_ROWS).then_some(all))
    }

    /// Stores a new flow, if its file system has less than `per_file_system` (0 = no limit) and its
    /// fileset has none.
    ///
    /// # Errors
    /// `Exists` when the id is taken; `Conflict` when its fileset has a flow or is being removed; `Limit`; `NotFound` when the
    /// file system is gone.
    pub async fn insert_flow(&self, f: &Flow, per_file_system: u32) -> Result<()> {
        let _changing = self.0.flows.changing();
        let fs = f.directory.file_system.as_str();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        lock_file_system(&mut tx, &f.directory.file_system).await?;
        let count = tx.row("SELECT COUNT(*) FROM flows WHERE file_system = $1", values![fs]).await?;
        refuse_if_full(count, per_file_system, "flows", &f.directory.file_system)?;
        if let Some(fileset) = &f.fileset {
            let sql = "SELECT id FROM flows WHERE file_system = $1 AND fileset = $2";
            if tx.row(sql, values![fs, fileset.as_str()]).await?.is_some() {
                return Err(Error::new(ErrorKind::Conflict, format!("fileset {fileset} has a flow already")));
            }
            refuse_if_going(&mut tx, fileset).await?;
        }
        let sql = "INSERT INTO flows (id, account, door, file_system, fileset, object_store, bucket, status, name, \
                   description, path, prefix, created, revision, record) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14)";
        let row = values![
            f.id.as_str(),
            f.account.as_str(),
            f.door.name(),
            fs,
            f.fileset.as_ref().map(|i| i.0.clone()),
            f.object.store.as_str(),
            &*f.object.bucket,
            f.status.name(),
            &*f.name,
            &*f.description,
            &*f.directory.path,
            &*f.object.prefix,
            f.created.0,
            encode(&FlowRecord::of(f)?)?,
        ];
        tx.execute(sql, row).await?;
        put_attributes(&mut tx, f).await?;
        tx.commit().await
    }

    /// One flow.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn flow(&self, id: &FlowId) -> Result<Option<Flow>> {
        if let Some(all) = self.kept_flows().await? {
            return Ok(self.0.flows_by_id.find(&all, id).map(|f| (*f).clone()));
        }
        let row = self.0.db.row("SELECT record FROM flows WHERE id = $1", values![id.as_str()]).await?;
        row.as_ref().map(flow).transpose()
    }

    /// A page of the flows that answer `filter`, and how many do.
    ///
    /// # Errors
    /// `Limit` when a list of the filter has more than 1,000 values.
    pub async fn flows(&self, filter: &FlowFilter, page: Page) -> Result<(Vec<Flow>, u64)> {
        if let Some(all) = self.kept_flows().await? {
            filter.conditions_ok()?;
            let (found, total) = match filter.ids.as_slice() {
                [id] => {
                    let one: Vec<_> = self.0.flows_by_id.find(&all, id).into_iter().collect();
                    let (found, total) = select(&one, filter, page);
                    return Ok((found.into_iter().map(|f| (**f).clone()).collect(), total));
                }
                _ => select(&all, filter, page),
            };
            return Ok((found.into_iter().map(|f| (**f).clone()).collect(), total));
        }
        self.flows_by_sql(filter, page).await
    }

    /// The same, always by SQL.
    pub(crate) async fn flows_by_sql(&self, filter: &FlowFilter, page: Page) -> Result<(Vec<Flow>, u64)> {
        let conditions = filter.conditions();
        let (sql, values) = conditions.count("flows")?;
        let count = self.0.db.rows(AssertSqlSafe(sql), values).await?;
        let total = count.first().map(|row| row.int(0)).transpose()?.unwrap_or(0);
        let (sql, values) = conditions.page("SELECT record FROM flows", "created {WAY}, id {WAY}", page)?;
        let rows = self.0.db.rows(AssertSqlSafe(sql), values).await?;
        Ok((rows.iter().map(flow).collect::<Result<_>>()?, u64::try_from(total).unwrap_or(0)))
    }

    /// Reads, changes and writes back one flow; runs `change` again when somebody else changed the flow
    /// meanwhile. Its ends, owner and door stay as they were. The inner error is `change`'s.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when others keep being quicker.
    pub async fn change_flow<E: Send>(
        &self,
        id: &FlowId,
        mut change: impl FnMut(&mut Flow) -> Result<(), E> + Send,
    ) -> Result<Result<Flow, E>> {
        let _changing = self.0.flows.changing();
        for _ in 0..TRIES {
            let mut tx = self.0.db.begin(Durability::Power).await?;
            let sql = "SELECT record, revision FROM flows WHERE id = $1";
            let row = tx.row(sql, values![id.as_str()]).await?;
            let row =
                row.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("flow {id} does not exist")))?;
            let (mut f, revision) = (flow(&row)?, row.int(1)?);
            if let Err(e) = change(&mut f) {
                return Ok(Err(e));
            }
            let sql = "UPDATE flows SET status = $3, name = $4, description = $5, record = $6, \
                       revision = revision + 1 WHERE id = $1 AND revision = $2";
            let record = encode(&FlowRecord::of(&f)?)?;
            let row = values![id.as_str(), revision, f.status.name(), &*f.name, &*f.description, record];
            if tx.execute(sql, row).await? == 1 {
                tx.execute("DELETE FROM flow_attributes WHERE flow = $1", values![id.as_str()]).await?;
                put_attributes(&mut tx, &f).await?;
                tx.commit().await?;
                return Ok(Ok(f));
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("flow {id} is being changed by others")))
    }

    /// Removes a flow whose tasks have all ended. `false` = it was not there.
    ///
    /// # Errors
    /// `Conflict` when a task of it has not ended.
    pub async fn remove_flow(&self, id: &FlowId) -> Result<bool> {
        let _changing = self.0.flows.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let n = tx.execute("DELETE FROM flows WHERE id = $1", values![id.as_str()]).await?;
        let sql = "SELECT id FROM tasks WHERE flow = $1 AND status NOT IN ('canceled', 'completed', 'failed') LIMIT 1";
        if let Some(row) = tx.row(sql, values![id.as_str()]).await? {
            let message = format!("task {} of flow {id} has not ended", row.text(0)?);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        tx.execute("DELETE FROM flow_attributes WHERE flow = $1", values![id.as_str()]).await?;
        tx.commit().await?;
        Ok(n > 0)
    }
}

impl FlowFilter {
    /// The lists have a bound also where no SQL is made of them.
    fn conditions_ok(&self) -> Result<()> {
        if [self.ids.len(), self.fileset.len(), self.statuses.len()].iter().any(|n| *n > 1000) {
            return Err(Error::new(ErrorKind::Limit, "a filter names more than 1000 values"));
        }
        Ok(())
    }
}

/// A fileset that is being removed gets no flow, whoever was quicker.
async fn refuse_if_going(tx: &mut Tx, id: &FilesetId) -> Result<()> {
    let row = tx.row("SELECT record FROM filesets WHERE id = $1", values![id.as_str()]).await?;
    let Some(row) = row else { return Ok(()) };
    match decode::<FilesetRecord>(&row.text(0)?)?.noun()?.status {
        FilesetStatus::Created => Ok(()),
        _ => Err(Error::new(ErrorKind::Conflict, format!("fileset {id} is being made or removed"))),
    }
}

async fn put_attributes(tx: &mut Tx, f: &Flow) -> Result<()> {
    for (name, value) in f.attributes.iter().filter(|(_, v)| v.len() <= MAX_ATTRIBUTE) {
        let sql = "INSERT INTO flow_attributes (flow, name, value) VALUES ($1, $2, $3)";
        let row: Vec<Value> = values![f.id.as_str(), &**name, &**value];
        tx.execute(sql, row).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Credentials, DirectoryEnd, Door, FlowStatus, ObjectEnd, Sealed, Timestamp};
    use proptest::prelude::*;

    fn flow(i: i64, [a, b, c, d]: [u8; 4]) -> Flow {
        let word = |n: u8| ["", "a", "ab", "Ab%_", "b'"][usize::from(n) % 5].to_owned();
        Flow {
            id: FlowId(format!("f{i}")),
            account: format!("acc{}", a % 2).as_str().into(),
            door: if b % 2 == 0 { Door::Cfs } else { Door::Nas },
            directory: DirectoryEnd { file_system: "fs".into(), root: "/".into(), path: word(c) },
            fileset: (d % 3 > 0).then(|| format!("set{i}").as_str().into()),
            object: ObjectEnd { store: "s".into(), bucket: word(a), prefix: word(d) },
            credentials: Some(Credentials { access_key_id: "k".into(), secret: Sealed(vec![1]) }),
            status: if c % 2 == 0 { FlowStatus::Running } else { FlowStatus::Stopped },
            error: None,
            name: word(b),
            description: word(c),
            attributes: [("x".to_owned(), word(d))].into(),
            sealed_attributes: [].into(),
            created: Timestamp(i / 3),
            updated: Timestamp(0),
        }
    }

    fn filter([a, b, c, d]: [u8; 4]) -> FlowFilter {
        let word = |n: u8| ["", "a", "b", "%", "_", "A", "'"][usize::from(n) % 7].to_owned();
        FlowFilter {
            account: (a & 1 > 0).then(|| "acc0".into()),
            ids: if a & 2 > 0 { vec!["f1".into(), "f4".into(), "zz".into()] } else { vec![] },
            door: (a & 4 > 0).then_some(Door::Nas),
            fileset: if a & 8 > 0 { vec!["set2".into(), "set5".into()] } else { vec![] },
            statuses: if a & 16 > 0 { vec![FlowStatus::Running] } else { vec![] },
            bucket: (a & 32 > 0).then(|| word(b)),
            path_like: (b & 1 > 0).then(|| word(c)),
            prefix_like: (b & 2 > 0).then(|| word(d)),
            description_like: (b & 4 > 0).then(|| word(c)),
            name_like: (b & 8 > 0).then(|| word(d)),
            attributes: if b & 16 > 0 { vec![("x".to_owned(), vec![word(c), word(d)])] } else { vec![] },
            file_system: None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn memory_and_sql_answer_alike(
            flows in proptest::collection::vec(any::<[u8; 4]>(), 1..9),
            filters in proptest::collection::vec(any::<[u8; 4]>(), 30),
            offset in 0..3_u64, limit in 0..5_u64,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let key = crate::SealKey::new(&[1; 32]).unwrap();
                let url = dir.path().join("db").display().to_string();
                let s = Store::open(&url, &key, crate::Options::default()).await.unwrap();
                s.0.db.execute("INSERT INTO file_systems (id, created, record) VALUES ('fs', 0, '')", vec![])
                    .await.unwrap();
                for (i, seed) in flows.iter().enumerate() {
                    s.insert_flow(&flow(i64::try_from(i).unwrap(), *seed), 0).await.unwrap();
                }
                for (i, seed) in filters.iter().enumerate() {
                    let page = Page { offset, limit, newest_first: i % 2 == 0 };
                    let f = filter(*seed);
                    let kept = s.flows(&f, page).await.unwrap();
                    assert_eq!(kept, s.flows_by_sql(&f, page).await.unwrap(), "{f:?} {page:?}");
                }
                s.close().await;
            });
        }
    }
}
