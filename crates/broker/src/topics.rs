//! The catalogue of topics: names, partitions, settings. Kept in a journal; partitions are opened when
//! they are first used, so that a start costs the same whatever the number of topics.

mod configs;

pub use configs::{CONFIGS, Config, Kind};

use crate::error::{Error, Result};
use crate::partition::{Dirty, Partition, lock};
use crate::settings::{Settings, TopicDefaults};
use crate::storage::bin::{self, Reader};
use crate::storage::folder;
use crate::storage::journal::Journal;
use bytes::BufMut;
use kafka_protocol::ResponseError;
use runtime::Random;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use uuid::Uuid;

const VERSION: u8 = 1;
const CLUSTER: &str = "c/id";
const TOPIC: &str = "t/";
/// Topics that were deleted, until their files are out of the way: only these may be discarded.
const DELETED: &str = "d/";
/// Longest name, as in Kafka.
const LONGEST_NAME: usize = 249;

/// A topic. It is replaced as a whole when something about it changes.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Identity; another one when a topic is deleted and made again.
    pub id: Uuid,
    /// Partitions, by their number.
    pub partitions: Vec<Arc<Partition>>,
    /// What was set for it.
    pub overrides: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Known {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<Uuid, String>,
    partitions: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Topics {
    settings: Settings,
    /// Identity of this cluster of one.
    pub cluster_id: String,
    journal: Mutex<Journal>,
    known: RwLock<Known>,
    /// Partitions that the flusher has to look at.
    pub dirty: Arc<Dirty>,
}

impl Topics {
    /// Reads the catalogue.
    ///
    /// # Errors
    /// When the data folder can't be read or written.
    pub fn open(settings: &Settings, random: &Random) -> Result<Self> {
        let mut journal = Journal::open(&settings.data_dir.join("topics.journal"))?;
        let cluster_id = match journal.get(CLUSTER).and_then(|b| String::from_utf8(b.to_vec()).ok()) {
            Some(id) => id,
            None => {
                let id = random.alphanumeric(22);
                journal.write(vec![(CLUSTER.to_owned(), Some(id.clone().into_bytes()))])?;
                journal.sync()?;
                id
            }
        };
        let dirty = Arc::new(Dirty::default());
        let mut stored = Vec::new();
        for (key, value) in journal.entries() {
            if let Some(name) = key.strip_prefix(TOPIC) {
                stored.push((name.to_owned(), decode(value)?));
            }
        }
        let topics = Self {
            settings: settings.clone(),
            cluster_id,
            journal: Mutex::new(journal),
            known: RwLock::new(Known::default()),
            dirty,
        };
        for (name, (id, partitions, overrides)) in stored {
            let topic = topics.build(&name, id, 0..partitions, overrides)?;
            topics.put(topic);
        }
        topics.end_deletions();
        topics.sweep();
        Ok(topics)
    }

    fn build(
        &self,
        name: &str,
        id: Uuid,
        partitions: std::ops::Range<i32>,
        overrides: BTreeMap<String, String>,
    ) -> Result<Topic> {
        let settings = configs::log_settings(&self.settings.topics, &overrides)?;
        let make = |n: i32| {
            let rest = (settings.clone(), self.dirty.clone());
            let dir = self.dir(name).join(n.to_string());
            Arc::new(Partition::new(name, n, dir, self.settings.fsync, rest))
        };
        let partitions = partitions.map(make).collect();
        Ok(Topic { name: name.to_owned(), id, partitions, overrides })
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.settings.data_dir.join("topics").join(name)
    }

    fn put(&self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.by_id.insert(topic.id, topic.name.clone());
        known.partitions += topic.partitions.len();
        if let Some(old) = known.by_name.insert(topic.name.clone(), topic.clone()) {
            known.partitions -= old.partitions.len();
        }
        topic
    }

    fn read<T>(&self, f: impl FnOnce(&Known) -> T) -> T {
        f(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A topic by its name.
    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.read(|k| k.by_name.get(name).cloned())
    }

    /// A topic by its identity.
    pub fn by_id(&self, id: &Uuid) -> Option<Arc<Topic>> {
        self.read(|k| k.by_id.get(id).and_then(|name| k.by_name.get(name)).cloned())
    }

    /// All topics, by name.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.read(|k| k.by_name.values().cloned().collect())
    }

    /// One partition.
    ///
    /// # Errors
    /// When there is no such topic or partition.
    pub fn partition(&self, topic: &str, index: i32) -> Result<Arc<Partition>> {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let found = self.read(|k| k.by_name.get(topic).and_then(|t| t.partitions.get(at)).cloned());
        found.ok_or_else(|| {
            let words = format!("there is no partition {index} of a topic {topic:?}");
            Error::new(ResponseError::UnknownTopicOrPartition, words)
        })
    }

    /// What topics are like by default.
    pub fn defaults(&self) -> &TopicDefaults {
        &self.settings.topics
    }

    /// Makes a topic; `partitions` of −1 is the default. Does nothing but check if `only_check`.
    ///
    /// # Errors
    /// When the name is not allowed or taken, a setting is wrong, or there are too many partitions.
    pub fn create(
        &self,
        name: &str,
        partitions: i32,
        overrides: BTreeMap<String, String>,
        only_check: bool,
    ) -> Result<Arc<Topic>> {
        check_name(name)?;
        let n = if partitions == -1 { self.settings.topics.partitions } else { partitions };
        if n < 1 {
            let words = format!("a topic can't have {partitions} partitions");
            return Err(Error::new(ResponseError::InvalidPartitions, words));
        }
        let mut journal = lock(&self.journal);
        if self.get(name).is_some() {
            let words = format!("topic {name:?} is there already");
            return Err(Error::new(ResponseError::TopicAlreadyExists, words));
        }
        self.check_room(n)?;
        let id = new_id(&Random::system());
        let topic = self.build(name, id, 0..n, overrides)?;
        if only_check {
            return Ok(Arc::new(topic));
        }
        // What a crash in the middle of a deletion left must not become the new topic's content.
        if self.dir(name).exists() {
            self.require_deleted(&journal, name)?;
            self.discard(name)?;
        }
        store(&mut journal, &topic)?;
        Ok(self.put(topic))
    }

    fn check_room(&self, more: i32) -> Result<()> {
        let (there, most) = (self.read(|k| k.partitions), self.settings.limits.partitions);
        if there.saturating_add(usize::try_from(more).unwrap_or(usize::MAX)) > most {
            let words = format!("{there} partitions are there, {most} are allowed on this broker");
            return Err(Error::new(ResponseError::InvalidPartitions, words));
        }
        Ok(())
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// When there is no such topic, or the number is not larger.
    pub fn grow(&self, name: &str, partitions: i32, only_check: bool) -> Result<Arc<Topic>> {
        let mut journal = lock(&self.journal);
        let topic = self.require(name)?;
        let now = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if partitions <= now {
            let words = format!("topic {name:?} has {now} partitions already, {partitions} is not more");
            return Err(Error::new(ResponseError::InvalidPartitions, words));
        }
        self.check_room(partitions - now)?;
        let more = self.build(name, topic.id, now..partitions, topic.overrides.clone())?;
        let mut grown = Topic::clone(&topic);
        grown.partitions.extend(more.partitions);
        if only_check {
            return Ok(Arc::new(grown));
        }
        store(&mut journal, &grown)?;
        Ok(self.put(grown))
    }

    /// Replaces a topic's own settings by what `change` makes of them.
    ///
    /// # Errors
    /// When there is no such topic, or a setting is wrong.
    pub fn configure(
        &self,
        name: &str,
        only_check: bool,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<()>,
    ) -> Result<()> {
        let mut journal = lock(&self.journal);
        let mut topic = Topic::clone(&*self.require(name)?);
        change(&mut topic.overrides)?;
        let settings = configs::log_settings(&self.settings.topics, &topic.overrides)?;
        if only_check {
            return Ok(());
        }
        store(&mut journal, &topic)?;
        for partition in &topic.partitions {
            partition.set_settings(settings.clone());
        }
        self.put(topic);
        Ok(())
    }

    /// Deletes a topic and everything in it.
    ///
    /// # Errors
    /// When there is no such topic, or the disk refuses.
    pub fn delete(&self, name: &str) -> Result<Uuid> {
        let mut journal = lock(&self.journal);
        let topic = self.require(name)?;
        let deleted = (format!("{DELETED}{name}"), Some(topic.id.as_bytes().to_vec()));
        journal.write(vec![(format!("{TOPIC}{name}"), None), deleted])?;
        journal.sync()?;
        {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.by_name.remove(name);
            known.by_id.remove(&topic.id);
            known.partitions -= topic.partitions.len();
        }
        for partition in &topic.partitions {
            partition.abandon();
        }
        if self.dir(name).exists() {
            self.discard(name)?;
        }
        // Not worth a flush: that it was deleted stays true, and a new topic of this name takes it away.
        if let Err(e) = journal.write(vec![(format!("{DELETED}{name}"), None)]) {
            tracing::warn!(topic = name, "it was not noted that the files of a deleted topic are gone: {e}");
        }
        Ok(topic.id)
    }

    fn require(&self, name: &str) -> Result<Arc<Topic>> {
        self.get(name).ok_or_else(|| {
            Error::new(ResponseError::UnknownTopicOrPartition, format!("there is no topic {name:?}"))
        })
    }

    fn trash(&self) -> PathBuf {
        self.settings.data_dir.join("deleted")
    }

    /// Files that nobody is known to have deleted are somebody's records, whatever the catalogue says.
    fn require_deleted(&self, journal: &Journal, name: &str) -> Result<()> {
        if journal.get(&format!("{DELETED}{name}")).is_some() {
            return Ok(());
        }
        let dir = self.dir(name);
        let words = format!(
            "{} holds files of a topic that the catalogue doesn't know and nobody deleted: move them away first",
            dir.display()
        );
        Err(Error::new(ResponseError::UnknownServerError, words))
    }

    /// Goes on with deletions that a crash interrupted.
    fn end_deletions(&self) {
        let mut journal = lock(&self.journal);
        let deleted: Vec<String> =
            journal.entries().filter_map(|(k, _)| k.strip_prefix(DELETED)).map(str::to_owned).collect();
        for name in deleted {
            let over = if self.get(&name).is_none() && self.dir(&name).exists() {
                self.discard(&name)
            } else {
                Ok(())
            };
            let noted = over.and_then(|()| journal.write(vec![(format!("{DELETED}{name}"), None)]));
            if let Err(e) = noted {
                tracing::warn!(topic = name, "the files of a deleted topic are still there: {e}");
            }
        }
    }

    /// Takes a topic's files out of the way at once; the space is freed by [`sweep`](Self::sweep).
    fn discard(&self, name: &str) -> Result<()> {
        let gone = self.trash().join(new_id(&Random::system()).to_string());
        let moved =
            std::fs::create_dir_all(self.trash()).and_then(|()| std::fs::rename(self.dir(name), &gone));
        moved.map_err(|e| Error::storage(self.dir(name).display(), &e))
    }

    /// Frees the space of what was deleted. May take long: to be called from a blocking context.
    pub fn sweep(&self) {
        let trash = self.trash();
        if trash.exists()
            && let Err(e) = std::fs::remove_dir_all(&trash)
        {
            tracing::warn!("{}: {e}", trash.display());
        }
    }
}

fn new_id(random: &Random) -> Uuid {
    let mut bytes: [u8; 16] = random.bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

/// Kafka's rule for names; it also makes them safe as names of directories.
fn check_name(name: &str) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if name.is_empty() || name.len() > LONGEST_NAME || name == "." || name == ".." || !plain {
        let words = format!("a topic's name is 1 to {LONGEST_NAME} letters, digits, '.', '_' or '-'");
        return Err(Error::new(ResponseError::InvalidTopicException, words));
    }
    Ok(())
}

fn store(journal: &mut Journal, topic: &Topic) -> Result<()> {
    let mut out = vec![VERSION];
    out.put_slice(topic.id.as_bytes());
    out.put_u32(u32::try_from(topic.partitions.len()).unwrap_or(0));
    out.put_u32(u32::try_from(topic.overrides.len()).unwrap_or(0));
    for (key, value) in &topic.overrides {
        bin::put_text(&mut out, key);
        bin::put_text(&mut out, value);
    }
    // From now on its directory is its own, not what a deletion left.
    let not_deleted = (format!("{DELETED}{}", topic.name), None);
    journal.write(vec![(format!("{TOPIC}{}", topic.name), Some(out)), not_deleted])?;
    journal.sync()
}

type Stored = (Uuid, i32, BTreeMap<String, String>);

fn decode(bytes: &[u8]) -> Result<Stored> {
    let mut r = Reader(bytes);
    if r.u8()? != VERSION {
        return Err(Error::corrupt("the catalogue of topics is of another version"));
    }
    let id = u128::from(r.u64()?) << 64 | u128::from(r.u64()?);
    let partitions = r.i32()?;
    let mut overrides = BTreeMap::new();
    for _ in 0..r.count()? {
        overrides.insert(r.text()?, r.text()?);
    }
    Ok((Uuid::from_u128(id), partitions, overrides))
}

/// Makes the folders of a broker.
///
/// # Errors
/// When they can't be made.
pub fn make_folders(data_dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = data_dir.join("topics");
    let missing: Vec<&Path> = data_dir.ancestors().take_while(|p| !p.exists()).collect();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|e| Error::storage(folder.display(), &e))?;
    missing.into_iter().chain([folder.as_path()]).try_for_each(folder::sync_name)
}
