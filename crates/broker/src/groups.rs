//! The coordinator of consumer groups: which there are, their members, their committed offsets.
//!
//! A group that somebody is in has a task that sleeps until something is due. One that nobody is in costs
//! an entry in a map, and is forgotten when it has no offsets either.

pub mod classic;
pub mod consumer;
pub mod offsets;

use crate::error::{Error, Result};
use crate::partition::{Dirty, lock};
use crate::settings::Settings;
use bytes::{Buf, Bytes};
use classic::{Group, Join, Joined, MemberView, State, Sync, Synced};
use kafka_protocol::ResponseError;
use offsets::{Committed, Offsets, Spot};
use runtime::{Shutdown, TaskKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

/// Longest text that may be stored with an offset, as in Kafka.
pub const MOST_METADATA: usize = 4096;
/// Longest id of a group.
const LONGEST_ID: usize = 1024;

/// A group and who looks after it.
#[derive(Debug)]
struct Slot {
    id: String,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    kind: Kind,
    attended: bool,
}

/// By which protocol a group works. One that nobody is in may change it.
#[derive(Debug)]
enum Kind {
    Classic(Group),
    Consumer(consumer::Group),
}

impl Kind {
    fn is_idle(&self) -> bool {
        match self {
            Self::Classic(g) => g.is_idle(),
            Self::Consumer(g) => g.is_idle(),
        }
    }

    fn tick(&mut self, now: Instant) {
        match self {
            Self::Classic(g) => g.tick(now),
            Self::Consumer(g) => g.tick(now),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self {
            Self::Classic(g) => g.next_deadline(),
            Self::Consumer(g) => g.next_deadline(),
        }
    }
}

/// Who commits: a member of a generation, or (generation −1, no member) somebody outside of the protocol.
#[derive(Debug, Clone, Default)]
pub struct Committer {
    /// Member.
    pub member: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// Generation.
    pub generation: i32,
}

/// A group as it is shown.
#[derive(Debug, Clone)]
pub struct GroupView {
    /// `Classic` or `Consumer`.
    pub kind: &'static str,
    /// Where it is in its life.
    pub state: &'static str,
    /// Type of protocol; empty for a group that only commits offsets.
    pub protocol_type: String,
    /// Name of the protocol.
    pub protocol: String,
    /// Members.
    pub members: Vec<MemberView>,
}

/// State, epochs and members of a group of the consumer protocol.
pub type ConsumerView = (&'static str, (i32, i32), Vec<consumer::MemberView>);

/// See the module.
#[derive(Debug)]
pub struct Groups {
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    /// Committed offsets.
    pub offsets: Offsets,
    most_groups: usize,
    most_members: usize,
    stop: Shutdown,
}

impl Groups {
    /// Reads the committed offsets.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn open(settings: &Settings, stop: Shutdown, dirty: Arc<Dirty>) -> Result<Self> {
        Ok(Self {
            slots: Mutex::new(BTreeMap::new()),
            offsets: Offsets::open(&settings.data_dir, settings.fsync, dirty)?,
            most_groups: settings.limits.groups,
            most_members: settings.limits.group_members,
            stop,
        })
    }

    fn find(&self, id: &str) -> Option<Arc<Slot>> {
        lock(&self.slots).get(id).cloned()
    }

    fn find_or_make(&self, id: &str) -> std::result::Result<Arc<Slot>, ResponseError> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(ResponseError::InvalidGroupId);
        }
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(id) {
            return Ok(slot.clone());
        }
        if slots.len() >= self.most_groups {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        let inner = Mutex::new(Inner { kind: Kind::Classic(Group::new(self.most_members)), attended: false });
        let slot = Arc::new(Slot { id: id.to_owned(), inner, changed: Notify::new() });
        slots.insert(id.to_owned(), slot.clone());
        Ok(slot)
    }

    /// Does something with a group, and sees to it that somebody looks after it.
    fn with<T>(self: &Arc<Self>, slot: &Arc<Slot>, f: impl FnOnce(&mut Kind) -> T) -> T {
        let mut inner = lock(&slot.inner);
        let out = f(&mut inner.kind);
        if !inner.attended {
            inner.attended = true;
            runtime::spawn(TaskKind::Housekeeping, attend(self.clone(), slot.clone()));
        } else {
            slot.changed.notify_one();
        }
        out
    }

    /// The same for a group of the classic protocol.
    fn classic<T>(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        f: impl FnOnce(&mut Group) -> T,
    ) -> std::result::Result<T, ResponseError> {
        self.with(slot, |kind| {
            if kind.is_idle() && matches!(kind, Kind::Consumer(_)) {
                *kind = Kind::Classic(Group::new(self.most_members));
            }
            match kind {
                Kind::Classic(group) => Ok(f(group)),
                Kind::Consumer(_) => Err(ResponseError::InconsistentGroupProtocol),
            }
        })
    }

    /// A member of the consumer protocol reports. `look_up` tells a topic's identity and number of
    /// partitions.
    pub fn report(
        self: &Arc<Self>,
        id: &str,
        report: consumer::Report,
        look_up: impl Fn(&str) -> Option<(Uuid, i32)>,
    ) -> std::result::Result<consumer::Told, ResponseError> {
        let slot = match report.epoch {
            0 => self.find_or_make(id)?,
            _ => self.find(id).ok_or(ResponseError::GroupIdNotFound)?,
        };
        self.with(&slot, |kind| {
            if kind.is_idle() && matches!(kind, Kind::Classic(_)) {
                *kind = Kind::Consumer(consumer::Group::new(self.most_members));
            }
            match kind {
                Kind::Consumer(group) => group.report(Instant::now(), report, look_up),
                Kind::Classic(_) => Err(ResponseError::InconsistentGroupProtocol),
            }
        })
    }

    /// Shows a group of the consumer protocol: state, epochs, members.
    pub fn consumer_view(&self, id: &str) -> std::result::Result<ConsumerView, ResponseError> {
        let slot = self.find(id).ok_or(ResponseError::GroupIdNotFound)?;
        let inner = lock(&slot.inner);
        match &inner.kind {
            Kind::Consumer(g) => Ok((g.state(), g.epochs(), g.views())),
            Kind::Classic(_) => Err(ResponseError::GroupIdNotFound),
        }
    }

    /// A member joins, and waits until the group is ready.
    pub async fn join(self: &Arc<Self>, id: &str, join: Join, fresh_id: &str) -> Joined {
        let member = join.member.clone();
        let refused = |error| Joined {
            error: Some(error),
            member: member.clone(),
            generation: -1,
            ..Joined::default()
        };
        let slot = match self.find_or_make(id) {
            Ok(slot) => slot,
            Err(error) => return refused(error),
        };
        let (reply, answer) = oneshot::channel();
        if let Err(error) = self.classic(&slot, |g| g.join(Instant::now(), join, fresh_id, reply)) {
            return refused(error);
        }
        tokio::select! {
            joined = answer => joined.unwrap_or_else(|_| refused(ResponseError::RebalanceInProgress)),
            () = self.stop.stopped() => refused(ResponseError::NotCoordinator),
        }
    }

    /// A member asks for its assignment, and waits for it.
    pub async fn sync(self: &Arc<Self>, id: &str, sync: Sync) -> Synced {
        let slot = self.find(id).ok_or(ResponseError::UnknownMemberId)?;
        let (reply, answer) = oneshot::channel();
        self.classic(&slot, |g| g.sync(Instant::now(), sync, reply))?;
        tokio::select! {
            synced = answer => synced.unwrap_or(Err(ResponseError::RebalanceInProgress)),
            () = self.stop.stopped() => Err(ResponseError::NotCoordinator),
        }
    }

    /// A member says that it is alive.
    pub fn heartbeat(self: &Arc<Self>, id: &str, who: &Committer) -> std::result::Result<(), ResponseError> {
        let slot = self.find(id).ok_or(ResponseError::UnknownMemberId)?;
        self.classic(&slot, |g| {
            g.heartbeat(Instant::now(), &who.member, who.instance.as_deref(), who.generation)
        })?
    }

    /// A member leaves.
    pub fn leave(
        self: &Arc<Self>,
        id: &str,
        member: &str,
        instance: Option<&str>,
    ) -> std::result::Result<(), ResponseError> {
        let slot = self.find(id).ok_or(ResponseError::UnknownMemberId)?;
        self.classic(&slot, |g| g.leave(Instant::now(), member, instance))?
    }

    /// May this committer commit for the group?
    fn check(self: &Arc<Self>, id: &str, who: &Committer) -> std::result::Result<(), ResponseError> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(ResponseError::InvalidGroupId);
        }
        let outside = who.generation < 0 && who.member.is_empty() && who.instance.is_none();
        let Some(slot) = self.find(id) else {
            let full = !self.offsets.has(id) && self.offsets.groups().len() >= self.most_groups;
            return match outside {
                true if full => Err(ResponseError::GroupMaxSizeReached),
                true => Ok(()),
                false if who.member.is_empty() => Err(ResponseError::UnknownMemberId),
                false => Err(ResponseError::UnknownMemberId),
            };
        };
        self.with(&slot, |kind| match kind {
            _ if kind.is_idle() && who.generation < 0 => Ok(()),
            Kind::Classic(group) => check_classic(group, who),
            Kind::Consumer(group) => group.check(&who.member, who.generation),
        })
    }

    /// May this member, if it says that it is one, ask for the group's offsets?
    ///
    /// # Errors
    /// When it is unknown, or of an old epoch.
    pub fn check_reader(
        &self,
        id: &str,
        member: Option<&str>,
        epoch: i32,
    ) -> std::result::Result<(), ResponseError> {
        let (Some(member), true) = (member, epoch >= 0) else { return Ok(()) };
        let Some(slot) = self.find(id) else { return Err(ResponseError::UnknownMemberId) };
        let inner = lock(&slot.inner);
        match &inner.kind {
            Kind::Consumer(group) => group.check(member, epoch),
            Kind::Classic(_) => Ok(()),
        }
    }

    /// Commits offsets.
    ///
    /// # Errors
    /// When the committer is not (or no longer) entitled to, or they can't be written.
    pub fn commit(
        self: &Arc<Self>,
        id: &str,
        who: &Committer,
        offsets: Vec<(Spot, Committed)>,
    ) -> Result<()> {
        self.check(id, who)?;
        self.offsets.commit(id, offsets)
    }

    /// Keeps offsets until a transaction ends.
    ///
    /// # Errors
    /// When the committer is not entitled to, or they can't be written.
    pub fn prepare(
        self: &Arc<Self>,
        producer: i64,
        id: &str,
        who: &Committer,
        offsets: Vec<(Spot, Committed)>,
    ) -> Result<()> {
        // Producers of before KIP-447 say nothing of the member for which they commit.
        let says_nothing = who.generation < 0 && who.member.is_empty() && who.instance.is_none();
        if !says_nothing {
            self.check(id, who)?;
        }
        self.offsets.prepare(producer, id, offsets)
    }

    /// Shows a group; `None` when there is none.
    pub fn view(&self, id: &str) -> Option<GroupView> {
        let Some(slot) = self.find(id) else {
            return self.offsets.has(id).then(|| GroupView {
                kind: "Classic",
                state: State::Empty.as_str(),
                protocol_type: String::new(),
                protocol: String::new(),
                members: Vec::new(),
            });
        };
        let inner = lock(&slot.inner);
        Some(match &inner.kind {
            Kind::Classic(group) => {
                let (protocol_type, protocol) = group.protocol();
                GroupView {
                    kind: "Classic",
                    state: group.state().as_str(),
                    protocol_type: protocol_type.unwrap_or_default().to_owned(),
                    protocol: protocol.unwrap_or_default().to_owned(),
                    members: group.views(),
                }
            }
            Kind::Consumer(group) => GroupView {
                kind: "Consumer",
                state: group.state(),
                protocol_type: "consumer".to_owned(),
                protocol: "uniform".to_owned(),
                members: Vec::new(),
            },
        })
    }

    /// All groups, by id.
    pub fn list(&self) -> Vec<(String, GroupView)> {
        let mut ids: BTreeSet<String> = lock(&self.slots).keys().cloned().collect();
        ids.extend(self.offsets.groups());
        ids.into_iter().filter_map(|id| self.view(&id).map(|v| (id, v))).collect()
    }

    /// Deletes a group that nobody is in.
    ///
    /// # Errors
    /// When there is none, or somebody is in it.
    pub fn delete(&self, id: &str) -> Result<()> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(id)
            && !lock(&slot.inner).kind.is_idle()
        {
            return Err(ResponseError::NonEmptyGroup.into());
        }
        if slots.remove(id).is_none() && !self.offsets.has(id) {
            return Err(Error::new(ResponseError::GroupIdNotFound, format!("there is no group {id:?}")));
        }
        self.offsets.delete(id, |_| true)
    }

    /// Topics that the members of a group are subscribed to.
    pub fn subscribed(&self, id: &str) -> BTreeSet<String> {
        let Some(slot) = self.find(id) else { return BTreeSet::new() };
        let inner = lock(&slot.inner);
        match &inner.kind {
            Kind::Classic(group) => group.subscriptions().flat_map(topics_of_subscription).collect(),
            Kind::Consumer(group) => group.topics(),
        }
    }

    /// Forgets offsets that nobody has touched since a time, of groups that nobody is in; and those of
    /// topics that are gone.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn expire(&self, untouched_since_ms: i64, is_there: impl Fn(&str) -> bool) -> Result<()> {
        for id in self.offsets.groups() {
            let of = self.offsets.of(&id);
            let empty = self.find(&id).is_none_or(|s| lock(&s.inner).kind.is_idle());
            let newest = of.values().map(|c| c.at_ms).max();
            let old = empty && newest.is_some_and(|at| at < untouched_since_ms);
            if old || of.keys().any(|(topic, _)| !is_there(topic)) {
                self.offsets.delete(&id, |(topic, _)| old || !is_there(topic))?;
            }
        }
        let mut slots = lock(&self.slots);
        slots.retain(|id, slot| !lock(&slot.inner).kind.is_idle() || self.offsets.has(id));
        Ok(())
    }
}

fn check_classic(group: &mut Group, who: &Committer) -> std::result::Result<(), ResponseError> {
    group.check(&who.member, who.instance.as_deref(), who.generation)?;
    if group.state() == State::Completing {
        return Err(ResponseError::RebalanceInProgress);
    }
    // A commit is as good a sign of life as a heartbeat; what it says of the state is not asked.
    let _ = group.heartbeat(Instant::now(), &who.member, who.instance.as_deref(), who.generation);
    Ok(())
}

/// Looks after a group until nobody is in it.
async fn attend(groups: Arc<Groups>, slot: Arc<Slot>) {
    loop {
        let next = {
            // The order of these locks is the same everywhere: the map first.
            let mut slots = lock(&groups.slots);
            let mut inner = lock(&slot.inner);
            inner.kind.tick(Instant::now());
            if inner.kind.is_idle() {
                inner.attended = false;
                if !groups.offsets.has(&slot.id) && Arc::strong_count(&slot) == 2 {
                    slots.remove(&slot.id);
                }
                return;
            }
            inner.kind.next_deadline()
        };
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = slot.changed.notified() => {}
            () = groups.stop.stopped() => return,
        }
    }
}

/// Reads the topics out of a consumer's subscription (`ConsumerProtocolSubscription`): a version, then the
/// names. Anything else gives none.
fn topics_of_subscription(mut bytes: Bytes) -> Vec<String> {
    let mut names = Vec::new();
    if bytes.remaining() < 6 {
        return names;
    }
    bytes.advance(2);
    for _ in 0..bytes.get_i32() {
        if bytes.remaining() < 2 {
            break;
        }
        let n = usize::from(bytes.get_u16());
        if n > bytes.remaining() {
            break;
        }
        if let Ok(name) = String::from_utf8(bytes.split_to(n).to_vec()) {
            names.push(name);
        }
    }
    names
}
