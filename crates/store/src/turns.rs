//! Turns: who may take steps with a thing outside of the database, such as a topic on a cluster.
//!
//! A row can't be locked for as long as a cluster takes to answer, and its state alone does not keep two callers from doing the same
//! step one after the other with an old picture. Whoever has the turn of a name reads the row again and then acts; nobody else
//! has it, in this process or, over PostgreSQL, in another one. It ends with the value, and with the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row as _};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::db::Db;
use crate::{Result, Store};

/// Connections that hold turns, beside the pool's.
const CONNECTIONS: usize = 8;
/// How often another server's turn is asked for.
const PAUSE: Duration = Duration::from_millis(100);

/// Turns of this process.
#[derive(Debug)]
pub(crate) struct Turns {
    here: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    connections: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { here: Mutex::default(), connections: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

/// The right to take steps with what has this name.
#[must_use = "it ends when it is dropped"]
pub struct Turn {
    // Its end ends the lock.
    _there: Option<(PgConnection, OwnedSemaphorePermit)>,
    _here: OwnedMutexGuard<()>,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turn")
    }
}

impl Turns {
    fn named(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        here.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = here.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        here.insert(name.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

impl Store {
    /// The turn of a name, waited for at most this long; `None` = another call has it still.
    ///
    /// # Errors
    /// `Unavailable` the database can't be reached.
    pub async fn turn(&self, name: &str, wait: Duration) -> Result<Option<Turn>> {
        let end = Instant::now() + wait;
        let turns = &self.0.turns;
        let Ok(here) = tokio::time::timeout_at(end, turns.named(name).lock_owned()).await else {
            return Ok(None);
        };
        let Db::Postgres(pool) = &self.0.db else { return Ok(Some(Turn { _there: None, _here: here })) };
        let permit = tokio::time::timeout_at(end, turns.connections.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Ok(None) };
        // A connection of its own: the pool's must not run out while a cluster is silent.
        let mut there = PgConnection::connect_with(&pool.connect_options()).await?;
        loop {
            let sql = "SELECT pg_try_advisory_lock(7742, hashtext($1))";
            let row = sqlx::query(sql).bind(name).fetch_one(&mut there).await?;
            if row.try_get::<bool, _>(0)? {
                return Ok(Some(Turn { _there: Some((there, permit)), _here: here }));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
