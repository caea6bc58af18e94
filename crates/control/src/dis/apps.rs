//! Applications that read streams, and how far they have read.

use std::collections::BTreeMap;

use model::{DisApp, DisCheckpoint, DisStream};

use crate::ends::taken;
use crate::{Caller, Control, Error, ErrorKind, Noun, Result};

impl Control {
    /// Makes an app.
    ///
    /// # Errors
    /// `Exists(App)`, `LimitExceeded`, `Invalid`.
    pub async fn create_dis_app(&self, c: &Caller, name: &str) -> Result<DisApp> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if !(1..=200).contains(&name.len()) || !name.bytes().all(plain) {
            let words = "an app's name has 1 to 200 letters, digits, `-` or `_`";
            return Err(Error::new(ErrorKind::Invalid, words).field("app_name"));
        }
        let id = self.0.random.alphanumeric(22);
        let app = DisApp { id, account: c.account.clone(), name: name.to_owned(), created: self.now() };
        let limit = self.0.limits.dis.apps_per_account;
        match self.0.store.insert_dis_app(&app, limit).await {
            Ok(()) => Ok(app),
            Err(e) if e.kind() == store::ErrorKind::Exists => Err(taken(e, Noun::App, name)),
            Err(e) => Err(e.into()),
        }
    }

    /// One of the caller's apps.
    ///
    /// # Errors
    /// `NotFound(App)`.
    pub async fn dis_app(&self, c: &Caller, name: &str) -> Result<DisApp> {
        let found = self.0.store.dis_app(&c.account, name).await?;
        found.ok_or_else(|| Error::not_found(Noun::App, name.chars().take(200).collect::<String>()))
    }

    /// The caller's apps by name, each with the names of the streams that it has checkpoints of.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dis_apps(&self, c: &Caller) -> Result<Vec<(DisApp, Vec<String>)>> {
        let streams = self.dis_streams(c).await?;
        let names: BTreeMap<_, _> = streams.iter().map(|s| (&s.id, s.name.as_str())).collect();
        let read = self.0.store.dis_app_streams(&c.account).await?;
        let mut of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (app, stream) in &read {
            if let Some(name) = names.get(stream) {
                of.entry(app).or_default().push((*name).to_owned());
            }
        }
        let apps = self.0.store.dis_apps(&c.account).await?;
        let with = |app: DisApp| {
            let mut streams = of.get(app.id.as_str()).cloned().unwrap_or_default();
            streams.sort();
            (app, streams)
        };
        Ok(apps.into_iter().map(with).collect())
    }

    /// Removes an app.
    ///
    /// # Errors
    /// `NotFound(App)`, `InUse` it has checkpoints.
    pub async fn delete_dis_app(&self, c: &Caller, name: &str) -> Result<()> {
        let app = self.dis_app(c, name).await?;
        match self.0.store.remove_dis_app(&app.id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::not_found(Noun::App, name)),
            Err(e) if e.kind() == store::ErrorKind::Conflict => {
                Err(Error::new(ErrorKind::InUse, "the app has checkpoints of streams"))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Writes down how far an app has read a partition.
    ///
    /// # Errors
    /// `NotFound(App)`; `NotFound(Stream)` it went meanwhile.
    pub async fn commit_dis_checkpoint(&self, app: &DisApp, s: &DisStream, at: &DisCheckpoint) -> Result<()> {
        self.0.store.put_dis_checkpoint(&app.id, &s.id, at).await.map_err(|e| match e.kind() {
            store::ErrorKind::NotFound => Error::not_found(Noun::Stream, &s.name),
            _ => e.into(),
        })
    }

    /// How far an app has read a stream, by partition.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dis_checkpoints(&self, app: &DisApp, s: &DisStream) -> Result<Vec<DisCheckpoint>> {
        Ok(self.0.store.dis_checkpoints(&app.id, &s.id).await?)
    }

    /// Forgets an app's checkpoints of a stream, or of one of its partitions. Says how many there were.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn delete_dis_checkpoints(
        &self,
        app: &DisApp,
        s: &DisStream,
        partition: Option<u32>,
    ) -> Result<u64> {
        Ok(self.0.store.remove_dis_checkpoints(&app.id, &s.id, partition).await?)
    }
}
