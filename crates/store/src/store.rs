//! The store itself: opening, and what all its verbs share.

use std::sync::Arc;

use model::{
    Account, Connection, DipTopic, DisStream, FileSystem, Fileset, Flow, FlowLog, ObjectStore, Pipeline,
};

use crate::db::Db;
use crate::flows::Catalogue;
use crate::shelf::Shelf;
use crate::{Result, SealKey, schema};

/// How to open.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections for reading (SQLite) or altogether (PostgreSQL).
    pub connections: u32,
    /// Batch tasks of one flow that may run at once; 0 = no limit. With several servers over one
    /// PostgreSQL it may be passed by one per server.
    pub tasks_per_flow: u32,
    /// Dead letters that one pipeline may have waiting, and bytes of all of them. Beyond, nothing more is kept: the pipeline stops at
    /// the next one and says so. Nothing is ever dropped to make room.
    pub dead_letters: (u64, u64),
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 2, tasks_per_flow: 4, dead_letters: (100_000, 256 * 1024 * 1024) }
    }
}

/// The store. Clones share everything.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) options: Options,
    pub(crate) accounts: Shelf<Account>,
    pub(crate) file_systems: Shelf<FileSystem>,
    pub(crate) object_stores: Shelf<ObjectStore>,
    pub(crate) filesets: Shelf<Fileset>,
    pub(crate) flows: Shelf<Arc<Flow>>,
    pub(crate) flows_by_id: Catalogue,
    pub(crate) connections: Shelf<Connection>,
    pub(crate) topics: Shelf<DipTopic>,
    pub(crate) pipelines: Shelf<Arc<Pipeline>>,
    pub(crate) dis_streams: Shelf<Arc<DisStream>>,
    pub(crate) flow_logs: Shelf<FlowLog>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.db.is_ours_alone() { "Store(sqlite)" } else { "Store(postgresql)" })
    }
}

impl Store {
    /// Opens a database, makes or migrates its tables and checks the master key.
    ///
    /// `url`: `postgres://…`, `sqlite:<path>` or a path. A SQLite file belongs to one process at a time.
    ///
    /// # Errors
    /// `Unavailable`, `Locked`, `Version` (it was used by a newer program; nothing is touched), `Key`.
    pub async fn open(url: &str, key: &SealKey, options: Options) -> Result<Self> {
        let db = Db::open(url, &options).await?;
        schema::migrate(&db).await?;
        schema::check_key(&db, key).await?;
        let alone = db.is_ours_alone();
        Ok(Self(Arc::new(Inner {
            db,
            options,
            accounts: Shelf::new(alone),
            file_systems: Shelf::new(alone),
            object_stores: Shelf::new(alone),
            filesets: Shelf::new(alone),
            flows: Shelf::new(alone),
            flows_by_id: Catalogue::default(),
            connections: Shelf::new(alone),
            topics: Shelf::new(alone),
            pipelines: Shelf::new(alone),
            dis_streams: Shelf::new(alone),
            flow_logs: Shelf::new(alone),
        })))
    }

    /// Closes the connections; SQLite's journal is merged into the file. Later calls fail.
    pub async fn close(&self) {
        self.0.db.close().await;
    }
}
