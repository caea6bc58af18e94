//! The consumer group protocol of KIP-848: the broker assigns, members only report what they own.
//!
//! A change of members, subscriptions or partitions makes a new *group epoch* and a *target*: who should
//! own what. Every member is then led there by the answers to its heartbeats, one step at a time: first it
//! gives up what is no longer its own and says so, then it gets what others have given up. A partition is
//! never with two members. Rules: KIP-848, Kafka's `CurrentAssignmentBuilder`.

use kafka_protocol::ResponseError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// A member that is silent for this long is out (Kafka's default).
const SESSION: Duration = Duration::from_secs(45);
/// How often members are asked to report.
pub const HEARTBEAT: Duration = Duration::from_secs(2);
/// "I am leaving".
const LEAVING: i32 = -1;
/// "I am a static member and will be back".
const LEAVING_FOR_NOW: i32 = -2;

/// Partitions by topic.
pub type Owned = BTreeMap<Uuid, BTreeSet<i32>>;

/// What a member reports.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Its id; from version 1 on it makes one itself.
    pub member: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// Its epoch; 0 to join, −1 or −2 to leave.
    pub epoch: i32,
    /// For those who look.
    pub client_id: String,
    /// For those who look.
    pub client_host: String,
    /// How long it may take to give up partitions; `None` when it didn't say.
    pub rebalance: Option<Duration>,
    /// Topics; `None` when they are as before.
    pub topics: Option<BTreeSet<String>>,
    /// What it owns; `None` when that is as before.
    pub owned: Option<Owned>,
}

/// The answer to a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The member's epoch from now on.
    pub epoch: i32,
    /// What it should own, when it has to be told.
    pub assignment: Option<Owned>,
}

#[derive(Debug)]
struct Member {
    instance: Option<String>,
    client_id: String,
    client_host: String,
    topics: BTreeSet<String>,
    epoch: i32,
    before: i32,
    /// What it may own.
    owned: Owned,
    /// What it has been told to give up, and has not yet.
    giving_up: Owned,
    target: Owned,
    rebalance: Duration,
    session: Instant,
    /// When giving up has to be done.
    patience: Option<Instant>,
    /// A static member that will be back.
    away: bool,
}

/// A member as it is shown.
#[derive(Debug, Clone)]
pub struct MemberView {
    /// Id.
    pub id: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// Its epoch.
    pub epoch: i32,
    /// Its topics.
    pub topics: BTreeSet<String>,
    /// What it owns.
    pub owned: Owned,
    /// What it should own.
    pub target: Owned,
}

/// See the module.
#[derive(Debug)]
pub struct Group {
    epoch: i32,
    target_epoch: i32,
    members: BTreeMap<String, Member>,
    /// The partitions on which the target is based.
    known: BTreeMap<String, (Uuid, i32)>,
    most_members: usize,
}

impl Group {
    /// An empty group.
    pub fn new(most_members: usize) -> Self {
        Self { epoch: 0, target_epoch: 0, members: BTreeMap::new(), known: BTreeMap::new(), most_members }
    }

    /// Is nobody in it?
    pub fn is_idle(&self) -> bool {
        self.members.is_empty()
    }

    /// Kafka's word for where it is.
    pub fn state(&self) -> &'static str {
        let settled =
            |m: &Member| m.epoch == self.target_epoch && m.owned == m.target && m.giving_up.is_empty();
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch != self.target_epoch {
            "Assigning"
        } else if self.members.values().all(settled) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// The epochs of the group and of its target.
    pub fn epochs(&self) -> (i32, i32) {
        (self.epoch, self.target_epoch)
    }

    /// The members as they are shown.
    pub fn views(&self) -> Vec<MemberView> {
        let view = |(id, m): (&String, &Member)| MemberView {
            id: id.clone(),
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            epoch: m.epoch,
            topics: m.topics.clone(),
            owned: m.owned.clone(),
            target: m.target.clone(),
        };
        self.members.iter().map(view).collect()
    }

    /// Topics that somebody is subscribed to.
    pub fn topics(&self) -> BTreeSet<String> {
        self.members.values().flat_map(|m| m.topics.iter().cloned()).collect()
    }

    /// May a member of this epoch commit or ask for offsets?
    pub fn check(&self, member: &str, epoch: i32) -> Result<(), ResponseError> {
        let known = self.members.get(member).ok_or(ResponseError::UnknownMemberId)?;
        if known.epoch == epoch { Ok(()) } else { Err(ResponseError::StaleMemberEpoch) }
    }

    /// Takes a member's report. `look_up` tells a topic's identity and number of partitions.
    pub fn report(
        &mut self,
        now: Instant,
        report: Report,
        look_up: impl Fn(&str) -> Option<(Uuid, i32)>,
    ) -> Result<Told, ResponseError> {
        if matches!(report.epoch, LEAVING | LEAVING_FOR_NOW) {
            return self.leave(&report, now, look_up);
        }
        let joins = report.epoch == 0;
        if joins {
            self.admit(now, &report)?;
        }
        let member = self.members.get_mut(&report.member).ok_or(ResponseError::UnknownMemberId)?;
        // The answer to the last report may have been lost: then the epoch is the one before.
        let current = report.epoch == member.epoch || (report.epoch == member.before && report.epoch > 0);
        if !joins && !current {
            return Err(ResponseError::FencedMemberEpoch);
        }
        member.session = now + SESSION;
        (member.client_id, member.client_host) = (report.client_id, report.client_host);
        if let Some(rebalance) = report.rebalance {
            member.rebalance = rebalance;
        }
        let mut changed = joins;
        if let Some(topics) = report.topics {
            changed |= topics != member.topics;
            member.topics = topics;
        }
        self.refresh(changed, look_up);
        Ok(self.lead(now, &report.member, report.owned.as_ref(), joins))
    }

    /// Lets a member in: a new one, one that was fenced, or a static one that takes an old one's place.
    fn admit(&mut self, now: Instant, report: &Report) -> Result<(), ResponseError> {
        if report.topics.is_none() || report.member.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let holder = report.instance.as_ref().and_then(|i| {
            let mut all = self.members.iter();
            all.find(|(_, m)| m.instance.as_ref() == Some(i)).map(|(id, m)| (id.clone(), m.away))
        });
        let mut target = Owned::new();
        if let Some((id, away)) = holder.filter(|(id, _)| *id != report.member) {
            if !away {
                return Err(ResponseError::UnreleasedInstanceId);
            }
            target = self.members.remove(&id).map(|m| m.target).unwrap_or_default();
        }
        if self.members.len() >= self.most_members && !self.members.contains_key(&report.member) {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        // Whoever joins owns nothing.
        let member = self.members.entry(report.member.clone()).or_insert_with(|| Member {
            instance: report.instance.clone(),
            client_id: String::new(),
            client_host: String::new(),
            topics: BTreeSet::new(),
            epoch: 0,
            before: 0,
            owned: Owned::new(),
            giving_up: Owned::new(),
            target,
            rebalance: SESSION,
            session: now + SESSION,
            patience: None,
            away: false,
        });
        (member.owned, member.giving_up, member.patience) = (Owned::new(), Owned::new(), None);
        (member.epoch, member.before, member.away) = (0, 0, false);
        Ok(())
    }

    fn leave(
        &mut self,
        report: &Report,
        now: Instant,
        look_up: impl Fn(&str) -> Option<(Uuid, i32)>,
    ) -> Result<Told, ResponseError> {
        let member = self.members.get_mut(&report.member).ok_or(ResponseError::UnknownMemberId)?;
        if report.epoch == LEAVING_FOR_NOW && member.instance.is_some() {
            (member.away, member.session) = (true, now + SESSION);
            (member.owned, member.giving_up) = (Owned::new(), Owned::new());
        } else {
            self.members.remove(&report.member);
            self.refresh(true, look_up);
        }
        Ok(Told { epoch: report.epoch, assignment: None })
    }

    /// Makes a new epoch and target if something has changed.
    fn refresh(&mut self, changed: bool, look_up: impl Fn(&str) -> Option<(Uuid, i32)>) {
        let topics = self.topics();
        let known: BTreeMap<_, _> = topics.into_iter().filter_map(|t| look_up(&t).map(|k| (t, k))).collect();
        if !changed && known == self.known {
            return;
        }
        self.known = known;
        self.epoch = self.epoch.wrapping_add(1).max(1);
        self.target_epoch = self.epoch;
        for (topic, (id, count)) in self.known.clone() {
            self.spread(&topic, id, count);
        }
        // What nobody is subscribed to any more, or is gone.
        for member in self.members.values_mut() {
            let subscribed: BTreeSet<Uuid> =
                member.topics.iter().filter_map(|t| self.known.get(t)).map(|(id, _)| *id).collect();
            member.target.retain(|id, _| subscribed.contains(id));
        }
    }

    /// Spreads a topic evenly, moving as little as possible.
    fn spread(&mut self, topic: &str, id: Uuid, count: i32) {
        // Ordered by all that each has so far, so that many small topics don't all go to the first.
        let mut takers: Vec<(usize, String)> = (self.members.iter())
            .filter(|(_, m)| m.topics.contains(topic))
            .map(|(name, m)| {
                let other = m.target.iter().filter(|(t, _)| **t != id).map(|(_, p)| p.len()).sum();
                (other, name.clone())
            })
            .collect();
        for member in self.members.values_mut().filter(|m| !m.topics.contains(topic)) {
            member.target.remove(&id);
        }
        if takers.is_empty() {
            return;
        }
        takers.sort();
        let (n, all) = (takers.len(), usize::try_from(count).unwrap_or(0));
        let mut free: BTreeSet<i32> = (0..count).collect();
        let mut shares = Vec::with_capacity(n);
        for (at, (_, name)) in takers.into_iter().enumerate() {
            let share = all / n + usize::from(at < all % n);
            let mut kept = BTreeSet::new();
            if let Some(member) = self.members.get(&name) {
                let had = member.target.get(&id).into_iter().flatten();
                kept.extend(had.filter(|p| free.contains(p)).take(share).copied());
            }
            free.retain(|p| !kept.contains(p));
            shares.push((name, share, kept));
        }
        for (name, share, mut kept) in shares {
            while kept.len() < share
                && let Some(p) = free.pop_first()
            {
                kept.insert(p);
            }
            if let Some(member) = self.members.get_mut(&name) {
                member.target.insert(id, kept);
                member.target.retain(|_, p| !p.is_empty());
            }
        }
    }

    /// Leads a member one step towards its target.
    fn lead(&mut self, now: Instant, id: &str, owned: Option<&Owned>, joins: bool) -> Told {
        let taken = self.taken_by_others(id);
        let target_epoch = self.target_epoch;
        let Some(member) = self.members.get_mut(id) else { return Told::default() };
        let owned_before = member.owned.clone();
        let epoch_before = member.epoch;
        if let Some(owned) = owned
            && !member.giving_up.is_empty()
            && intersection(owned, &member.giving_up).is_empty()
        {
            member.giving_up.clear();
            member.patience = None;
        }
        if member.giving_up.is_empty() {
            let surplus = difference(&member.owned, &member.target);
            if surplus.is_empty() || joins {
                let fresh = difference(&difference(&member.target, &member.owned), &taken);
                merge(&mut member.owned, &fresh);
                if member.epoch != target_epoch {
                    (member.before, member.epoch) = (member.epoch, target_epoch);
                }
            } else {
                // It stays in its epoch until it has given up what it must.
                member.owned = intersection(&member.owned, &member.target);
                member.giving_up = surplus;
                member.patience = Some(now + member.rebalance);
            }
        }
        let news = joins || member.owned != owned_before || member.epoch != epoch_before || owned.is_some();
        Told { epoch: member.epoch, assignment: news.then(|| member.owned.clone()) }
    }

    fn taken_by_others(&self, id: &str) -> Owned {
        let mut taken = Owned::new();
        for (_, member) in self.members.iter().filter(|(other, _)| *other != id) {
            merge(&mut taken, &member.owned);
            merge(&mut taken, &member.giving_up);
        }
        taken
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.members.values().flat_map(|m| [Some(m.session), m.patience]).flatten().min()
    }

    /// Takes out who is silent, or doesn't give up what it must.
    pub fn tick(&mut self, now: Instant) {
        let before = self.members.len();
        self.members.retain(|_, m| m.session > now && m.patience.is_none_or(|p| p > now));
        if self.members.len() != before {
            let known = self.known.clone();
            self.refresh(true, |topic| known.get(topic).copied());
        }
    }
}

fn merge(into: &mut Owned, from: &Owned) {
    for (topic, partitions) in from {
        into.entry(*topic).or_default().extend(partitions);
    }
}

fn combine(a: &Owned, b: &Owned, keep: impl Fn(bool) -> bool) -> Owned {
    let mut out = Owned::new();
    for (topic, partitions) in a {
        let is_in = |p: &&i32| keep(b.get(topic).is_some_and(|other| other.contains(p)));
        let kept: BTreeSet<i32> = partitions.iter().filter(is_in).copied().collect();
        if !kept.is_empty() {
            out.insert(*topic, kept);
        }
    }
    out
}

fn intersection(a: &Owned, b: &Owned) -> Owned {
    combine(a, b, |inside| inside)
}

fn difference(a: &Owned, b: &Owned) -> Owned {
    combine(a, b, |inside| !inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Uuid = Uuid::from_u128(1);

    fn look_up(topic: &str) -> Option<(Uuid, i32)> {
        (topic == "t").then_some((TOPIC, 6))
    }

    fn report(group: &mut Group, now: Instant, id: &str, epoch: i32, owned: Option<Owned>) -> Told {
        let topics = (epoch == 0).then(|| BTreeSet::from(["t".to_owned()]));
        let report = Report { member: id.to_owned(), epoch, topics, owned, ..Report::default() };
        group.report(now, report, look_up).unwrap()
    }

    fn disjoint(group: &Group) {
        let mut seen = BTreeSet::new();
        for m in group.members.values() {
            for p in m.owned.values().flatten().chain(m.giving_up.values().flatten()) {
                assert!(seen.insert(*p), "partition {p} is with two members");
            }
        }
    }

    fn everybody_reports(group: &mut Group, now: Instant, members: &mut BTreeMap<String, (i32, Owned)>) {
        for (id, (epoch, owned)) in members {
            let told = report(group, now, id, *epoch, Some(owned.clone()));
            *epoch = told.epoch;
            *owned = told.assignment.unwrap_or_else(|| owned.clone());
            disjoint(group);
        }
    }

    /// Whatever comes and goes in whatever order: never two owners, and in the end everything is owned.
    #[test]
    fn partitions_move_without_ever_being_with_two_members() {
        let mut group = Group::new(10);
        let now = Instant::now();
        let mut members: BTreeMap<String, (i32, Owned)> = BTreeMap::new();
        for round in 0..12 {
            if round % 3 == 2 && members.len() > 2 {
                let gone = members.keys().next().cloned().unwrap();
                report(&mut group, now, &gone, -1, None);
                members.remove(&gone);
            } else {
                let id = format!("m{round}");
                let told = report(&mut group, now, &id, 0, Some(Owned::new()));
                members.insert(id, (told.epoch, told.assignment.unwrap_or_default()));
            }
            disjoint(&group);
            for _ in 0..4 {
                everybody_reports(&mut group, now, &mut members);
            }
            let all: usize = members.values().flat_map(|(_, o)| o.values()).map(BTreeSet::len).sum();
            assert_eq!(all, 6, "round {round}: {members:?}");
            let sizes: Vec<usize> =
                members.values().map(|(_, o)| o.values().map(BTreeSet::len).sum()).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
            assert_eq!(group.state(), "Stable");
        }
    }

    #[test]
    fn a_silent_member_is_taken_out_and_an_old_epoch_is_fenced() {
        let mut group = Group::new(10);
        let now = Instant::now();
        let a = report(&mut group, now, "a", 0, Some(Owned::new()));
        group.tick(now + SESSION);
        assert!(group.is_idle());
        let late = Report { member: "a".to_owned(), epoch: a.epoch, ..Report::default() };
        assert_eq!(group.report(now, late, look_up), Err(ResponseError::UnknownMemberId));
        report(&mut group, now, "b", 0, Some(Owned::new()));
        let old = Report { member: "b".to_owned(), epoch: 77, ..Report::default() };
        assert_eq!(group.report(now, old, look_up), Err(ResponseError::FencedMemberEpoch));
    }
}
