//! The two ends of `wharf copy`, opened: what the words on the command line turn out to be.
//!
//! A source is one file or object, or everything below a directory or prefix; only a look tells. Everything
//! that can be said against a run as a whole is said here, in one line and before anything is written: a
//! bucket that is not there, keys that are refused, a server that nobody reaches, a destination that lies
//! in the source. Such errors are not waited for; what passes by itself is left to the run's own patience.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use connector::{Entry, EntryKind, Error, ErrorKind, Tree, TreePath};
use connector_object::{Addressing, Endpoint, MetadataDialect, ObjectTree, Site};
use connector_posix::{Durability, PosixTree};
use engine::Select;

use super::location::{self, Location};
use crate::cli::{CopyArgs, Fsync};

/// Both ends, and what is copied between them.
pub struct Ends {
    pub source: Arc<dyn Tree>,
    pub destination: Arc<dyn Tree>,
    pub select: Select,
    pub to_directory: bool,
}

/// Opens both ends.
///
/// # Errors
/// In words for people: what stands against this run.
pub async fn open(args: &CopyArgs) -> Result<Ends, String> {
    let source = Location::parse(&args.source)?;
    let destination = Location::parse(&args.destination)?;
    let opener = Opener { args, sites: Sites::new(args, &[&source, &destination])? };
    let single = opener.single(&source).await?;
    let (from, to, select) = match single {
        Some((parent, name)) => {
            let (holder, new_name) = opener.place(&destination, &name)?;
            let select = Select::One { from: name, to: new_name, condition: model::Precondition::default() };
            (parent, holder, select)
        }
        None => (source, destination, Select::All),
    };
    refuse_overlap(&from, &to, &select)?;
    let source = opener.tree(&from, Missing::Complain)?;
    if matches!(select, Select::All) {
        opener.reach(&from).await?;
    }
    opener.reach(&to).await?;
    let missing = if args.dry_run { Missing::Imagine } else { Missing::Make };
    let destination = opener.tree(&to, missing)?;
    Ok(Ends { source, destination, select, to_directory: matches!(to, Location::Directory(_)) })
}

/// What to do about a directory that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Complain,
    Make,
    /// A dry run makes nothing and goes on as if it were empty.
    Imagine,
}

/// One endpoint serves both ends.
struct Sites {
    /// For the run.
    site: Arc<Site>,
    /// For the first look: it does not wait long for a server that is not there.
    hasty: Arc<Site>,
}

impl Sites {
    /// `None` when no end is a bucket.
    fn new(args: &CopyArgs, ends: &[&Location]) -> Result<Option<Self>, String> {
        if !ends.iter().any(|l| matches!(l, Location::Bucket { .. })) {
            return Ok(None);
        }
        let region =
            args.region.clone().or_else(|| location::first_env(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let url = args
            .endpoint_url
            .clone()
            .or_else(|| location::first_env(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL"]))
            .unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let mut endpoint = Endpoint::new(url, region, location::credentials(&args.profile)?);
        if args.virtual_host {
            endpoint.addressing = Addressing::VirtualHost;
        }
        if let Some(file) = &args.ca_file {
            let pem = std::fs::read(file).map_err(|e| format!("--ca-file: {}: {e}", file.display()))?;
            endpoint.ca_pem = Some(pem);
        }
        endpoint.verify = args.verify;
        let mut hasty = endpoint.clone();
        hasty.max_retries = 2;
        hasty.timeouts.connect = Duration::from_secs(5);
        let check = |e: Endpoint| e.check().map_err(|problems| problems.join("; "));
        Ok(Some(Self { site: check(endpoint)?, hasty: check(hasty)? }))
    }
}

struct Opener<'a> {
    args: &'a CopyArgs,
    sites: Option<Sites>,
}

impl Opener<'_> {
    /// A source that is one file or one object: what holds it, and its name there.
    async fn single(&self, source: &Location) -> Result<Option<(Location, TreePath)>, String> {
        match source {
            Location::Directory(path) => Ok(if path.is_file() { source.split() } else { None }),
            Location::Bucket { .. } => {
                let Some((parent, name)) = source.split() else { return Ok(None) };
                match self.object(&parent, &name).await {
                    Ok(found) => Ok(found.filter(|e| e.kind != EntryKind::Dir).map(|_| (parent, name))),
                    // The answer to HEAD has no words; a listing's has.
                    Err(e) if e.kind() == ErrorKind::Denied => {
                        self.reach(&parent).await?;
                        Err(format!("{source}: {e}"))
                    }
                    Err(e) if passes(&e) => Ok(None),
                    Err(e) => Err(format!("{source}: {e}")),
                }
            }
        }
    }

    async fn object(&self, parent: &Location, name: &TreePath) -> connector::Result<Option<Entry>> {
        let (Location::Bucket { bucket, key }, Some(sites)) = (parent, &self.sites) else { return Ok(None) };
        let lane = ObjectTree::new(&sites.hasty, bucket, key)?.lane();
        Ok(lane.stat(name).await?.map(|found| found.entry))
    }

    /// Where a single file goes, and under which name: into what is there to hold it or is written with a
    /// `/` at its end, else to this very name, as `cp` has it.
    fn place(&self, to: &Location, name: &TreePath) -> Result<(Location, TreePath), String> {
        let holds = match to {
            Location::Directory(path) => to.is_folder() || path.is_dir(),
            Location::Bucket { .. } => to.is_folder(),
        };
        if holds {
            return Ok((to.clone(), name.clone()));
        }
        to.split().ok_or_else(|| format!("{to}: can't be the name of a file"))
    }

    /// Is the bucket there, and does it answer?
    async fn reach(&self, end: &Location) -> Result<(), String> {
        let (Location::Bucket { bucket, key }, Some(sites)) = (end, &self.sites) else { return Ok(()) };
        let tree = ObjectTree::new(&sites.hasty, bucket, key).map_err(|e| e.to_string())?;
        match tree.probe(false).await {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(format!("there is no bucket {bucket}: {e}")),
            Err(e) if passes(&e) => Ok(()),
            Err(e) => Err(format!("{end}: {e}")),
        }
    }

    fn tree(&self, end: &Location, missing: Missing) -> Result<Arc<dyn Tree>, String> {
        match (end, &self.sites) {
            (Location::Bucket { bucket, key }, Some(sites)) => {
                let tree = ObjectTree::new(&sites.site, bucket, key).map_err(|e| e.to_string())?;
                Ok(Arc::new(tree.with_metadata(MetadataDialect::Native)))
            }
            (Location::Bucket { .. }, None) => Err("no endpoint".to_owned()),
            (Location::Directory(path), _) => self.directory(path, missing),
        }
    }

    fn directory(&self, path: &Path, missing: Missing) -> Result<Arc<dyn Tree>, String> {
        let args = self.args;
        if missing == Missing::Make {
            std::fs::create_dir_all(path).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        let durability = match args.fsync {
            Fsync::None => Durability::None,
            Fsync::End => Durability::Batch,
            Fsync::Each => Durability::Each,
        };
        let options = connector_posix::Options {
            durability,
            owner: !args.no_metadata,
            xattrs: args.xattrs && !args.no_metadata,
            ..connector_posix::Options::default()
        };
        match PosixTree::open(path, options) {
            Ok(tree) => Ok(Arc::new(tree)),
            Err(e) if e.kind() == ErrorKind::NotFound && missing == Missing::Imagine => {
                Ok(Arc::new(connector::Nowhere::new(path.display().to_string())))
            }
            Err(e) => Err(e.to_string()),
        }
    }
}

/// May a run with more patience get on? A server that answers may recover; one that is not there, or whose
/// name nobody knows, is mostly a mistyped address.
fn passes(e: &Error) -> bool {
    let unreached = std::error::Error::source(e).is_some_and(|cause| cause.is::<std::io::Error>());
    e.kind().is_transient() && !unreached
}

/// A tree is never copied into itself: it would copy what it has just written.
fn refuse_overlap(from: &Location, to: &Location, select: &Select) -> Result<(), String> {
    let names = if let Select::One { from, to, .. } = select { Some((from, to)) } else { None };
    let mut at = None;
    let (same, inside) = match (from, to) {
        (Location::Directory(from), Location::Directory(to)) => {
            refuse_way_back(to)?;
            at = Some((from.as_path(), to.as_path()));
            directories_overlap(from, to)
        }
        (Location::Bucket { bucket: a, key: from }, Location::Bucket { bucket: b, key: to }) => {
            let (from, to) = (folder(from), folder(to));
            (a == b && from == to, a == b && to.starts_with(&from))
        }
        _ => return Ok(()),
    };
    match names {
        Some((name, new_name)) if (same && name == new_name) || same_file(at, name, new_name) => {
            Err(format!("{from} and {to}: a file can't be copied onto itself ({})", name.display()))
        }
        Some(_) => Ok(()),
        None if same => Err(format!("{from} and {to} are the same place")),
        None if inside => Err(format!("{to} lies in {from}: a tree can't be copied into itself")),
        None => Ok(()),
    }
}

/// Are both names of one file? Links are seen through, as `cp` does: written over would be what they lead to
/// or are.
fn same_file(at: Option<(&Path, &Path)>, name: &TreePath, new_name: &TreePath) -> bool {
    let id = |dir: &Path, name: &TreePath| {
        let path = dir.join(std::ffi::OsStr::from_bytes(name.as_bytes()));
        std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
    };
    at.is_some_and(|(from, to)| {
        let here = id(from, name);
        here.is_some() && here == id(to, new_name)
    })
}

/// `new/..` leads nowhere until `new` is made, and then to a place that nobody has looked at.
fn refuse_way_back(to: &Path) -> Result<(), String> {
    let mut at = PathBuf::new();
    for part in absolute(to).components() {
        let leads = part != Component::ParentDir || std::fs::metadata(&at).is_ok();
        if !leads {
            let what = format!("{}: `..` behind {}, which is not there", to.display(), at.display());
            return Err(what);
        }
        at.push(part);
    }
    Ok(())
}

fn folder(key: &str) -> String {
    if key.is_empty() || key.ends_with('/') { key.to_owned() } else { format!("{key}/") }
}

/// Whether they are the same directory, and whether the second lies in the first or is it. Asked is the file
/// system and not the spelling, so links and bind mounts on the way are seen through. What is not there yet
/// lies where its nearest parent lies.
fn directories_overlap(from: &Path, to: &Path) -> (bool, bool) {
    let id = |p: &Path| std::fs::metadata(p).ok().map(|m| (m.dev(), m.ino()));
    let Some(source) = id(from) else { return (false, false) };
    let mut whole = true;
    let mut at = absolute(to);
    while std::fs::symlink_metadata(&at).is_err() && at.pop() {
        whole = false;
    }
    let Ok(mut at) = at.canonicalize() else { return (false, false) };
    let same = whole && id(&at) == Some(source);
    loop {
        if id(&at) == Some(source) {
            return (same, true);
        }
        if !at.pop() {
            return (false, false);
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(from: &str, to: &str) -> Result<(), String> {
        refuse_overlap(&Location::parse(from)?, &Location::parse(to)?, &Select::All)
    }

    #[test]
    fn prefixes_that_hold_each_other_are_seen() {
        for (from, to) in [("s3://b", "s3://b"), ("s3://b/a", "s3://b/a/"), ("s3://b/a", "s3://b/a/b/c")] {
            assert!(overlap(from, to).is_err(), "{from} {to}");
        }
        for (from, to) in [("s3://b/a", "s3://c/a/b"), ("s3://b/a", "s3://b/ab"), ("s3://b/a/b", "s3://b/a")]
        {
            assert_eq!(overlap(from, to), Ok(()), "{from} {to}");
        }
    }

    #[test]
    fn directories_are_told_by_what_they_are_and_not_by_their_names() {
        let at = tempfile::tempdir().unwrap();
        let path = |p: &str| at.path().join(p);
        std::fs::create_dir_all(path("a/b")).unwrap();
        std::fs::create_dir_all(path("other")).unwrap();
        std::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        let check = |from: &str, to: &str| directories_overlap(&path(from), &path(to));
        assert_eq!(check("a", "a/."), (true, true));
        assert_eq!(check("a", "link"), (true, true));
        assert_eq!(check("link", "a/b/new/deeper"), (false, true));
        assert_eq!(check("a", "link/b"), (false, true));
        assert_eq!(check("a/b", "a"), (false, false));
        assert_eq!(check("a", "other/new"), (false, false));
        assert_eq!(check("a", "ab"), (false, false));
    }

    #[test]
    fn a_way_back_out_of_what_is_not_there_is_refused() {
        let at = tempfile::tempdir().unwrap();
        let path = |p: &str| at.path().join(p);
        std::fs::create_dir_all(path("a/b")).unwrap();
        std::fs::create_dir_all(path("other")).unwrap();
        let check = |from: &str, to: &str| {
            let (from, to) = (Location::Directory(path(from)), Location::Directory(path(to)));
            refuse_overlap(&from, &to, &Select::All)
        };
        for to in ["other/new/../../a/sub", "other/new/deep/../../../a", "new/.."] {
            let said = check("a", to);
            assert!(said.as_ref().is_err_and(|e| e.contains("not there")), "{to} {said:?}");
        }
        assert!(check("a", "other/../a/sub").is_err_and(|e| e.contains("into itself")));
        assert_eq!(check("a", "a/../other/new"), Ok(()));
        assert!(!path("other/new").exists());
    }

    #[test]
    fn one_file_under_two_names_is_not_copied_onto_itself() {
        let at = tempfile::tempdir().unwrap();
        let path = |p: &str| at.path().join(p);
        std::fs::create_dir_all(path("d/e")).unwrap();
        std::fs::write(path("d/file"), b"precious").unwrap();
        std::fs::write(path("d/other"), b"precious").unwrap();
        std::os::unix::fs::symlink("file", path("d/link")).unwrap();
        std::os::unix::fs::symlink("../file", path("d/e/link")).unwrap();
        std::fs::hard_link(path("d/file"), path("d/hard")).unwrap();
        let check = |from: &str, to: &str, name: &str, new_name: &str| {
            let one = |n: &str| TreePath::new(n.as_bytes()).unwrap();
            let condition = model::Precondition::default();
            let select = Select::One { from: one(name), to: one(new_name), condition };
            refuse_overlap(&Location::Directory(path(from)), &Location::Directory(path(to)), &select)
        };
        let same =
            [("d", "link", "file"), ("d", "file", "link"), ("d", "hard", "file"), ("d", "file", "file")];
        for (to, name, new_name) in same {
            assert!(check("d", to, name, new_name).is_err(), "{name} {new_name}");
        }
        assert!(check("d", "d/e", "file", "link").is_err());
        assert_eq!(check("d", "d", "file", "other"), Ok(()));
        assert_eq!(check("d", "d/e", "link", "file"), Ok(()));
    }
}
