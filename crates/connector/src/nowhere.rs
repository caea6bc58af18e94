//! A tree that is not there yet: what a dry run has for a destination that the run would make.

use async_trait::async_trait;

use crate::{
    Body, Entry, EntryStream, Error, ErrorKind, Found, Lane, ListRequest, Meta, Part, PartDone, Probe, Range,
    Result, Stored, Target, Tree, TreePath, Upload,
};

/// Nothing is in it, and nothing can be put into it (`NotFound`).
#[derive(Debug, Clone)]
pub struct Nowhere {
    name: String,
}

impl Nowhere {
    /// `name` is what [`Tree::describe`] says.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    fn missing<T>(&self) -> Result<T> {
        Err(Error::new(ErrorKind::NotFound, format!("{} is not there", self.name)))
    }
}

struct Nothing;

#[async_trait]
impl EntryStream for Nothing {
    async fn next(&mut self) -> Result<Option<Vec<Result<Entry>>>> {
        Ok(None)
    }
}

#[async_trait]
impl Tree for Nowhere {
    fn describe(&self) -> String {
        self.name.clone()
    }

    async fn probe(&self, _write: bool) -> Result<Probe> {
        self.missing()
    }

    fn list(&self, _request: ListRequest) -> Box<dyn EntryStream> {
        Box::new(Nothing)
    }

    fn lane(&self) -> Box<dyn Lane> {
        Box::new(self.clone())
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    async fn sweep(&self, _what: &crate::Sweep) -> Result<u64> {
        Ok(0)
    }
}

#[async_trait(?Send)]
impl Lane for Nowhere {
    async fn stat(&self, _path: &TreePath) -> Result<Option<Found>> {
        Ok(None)
    }

    async fn open(&self, _entry: &Entry, _range: Option<Range>) -> Result<Body> {
        self.missing()
    }

    async fn put(&self, _target: &Target, _body: Body) -> Result<Stored> {
        self.missing()
    }

    async fn put_dir(&self, _target: &Target) -> Result<()> {
        self.missing()
    }

    async fn begin(&self, _target: &Target, _part_size: u64) -> Result<Upload> {
        self.missing()
    }

    async fn put_part(&self, _: &Target, _: &Upload, _: Part, _: Body) -> Result<PartDone> {
        self.missing()
    }

    async fn finish(&self, _: &Target, _: &Upload, _: &[PartDone], _: &Meta) -> Result<Stored> {
        self.missing()
    }

    async fn abort(&self, _target: &Target, _upload: &Upload) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, _path: &TreePath) -> Result<bool> {
        Ok(false)
    }
}
