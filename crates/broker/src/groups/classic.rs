//! The classic group protocol as a state machine: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.
//!
//! ```text
//! Empty ── join ──▶ Preparing ── all have joined, or time is up ──▶ Completing ── leader's sync ──▶ Stable
//!   ▲                  ▲  └── nobody left ──▶ Empty                     │                            │
//!   └── last one left  └───────────── a member comes, goes or changes ───┴────────────────────────────┘
//! ```
//!
//! Time is an argument and nothing here waits: who has to wait leaves a sender behind, and the group's
//! task calls [`Group::tick`] at [`Group::next_deadline`]. Members aren't stored: after a restart of the
//! broker they find themselves unknown and join again. Rules: Kafka's `GroupCoordinator`; static members
//! KIP-345, known member ids KIP-394.

mod member;
mod words;

pub use words::{Join, Joined, MemberView, State, Sync, Synced};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use member::{Member, refuse};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A new group waits this long for further members before it hands out work, each newcomer adding …
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// … up to this long in all.
const FIRST_WAIT_MOST: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub struct Group {
    state: State,
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    statics: HashMap<String, String>,
    /// Newcomers that were told their id and have not come back yet.
    expected: HashMap<String, Instant>,
    /// When joining or syncing has to be over.
    deadline: Option<Instant>,
    /// When the first wait of a new group began.
    first: Option<Instant>,
    most_members: usize,
}

impl Group {
    /// An empty group.
    pub fn new(most_members: usize) -> Self {
        Self {
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: HashMap::new(),
            expected: HashMap::new(),
            deadline: None,
            first: None,
            most_members,
        }
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// Is nobody in it and nobody expected?
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.expected.is_empty()
    }

    /// Type and name of the protocol in use.
    pub fn protocol(&self) -> (Option<&str>, Option<&str>) {
        (self.protocol_type.as_deref(), self.protocol.as_deref())
    }

    /// The members as they are shown.
    pub fn views(&self) -> Vec<MemberView> {
        let settled = self.state == State::Stable;
        let view = |(id, m): (&String, &Member)| MemberView {
            id: id.clone(),
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            metadata: if settled { m.metadata(self.protocol.as_deref()) } else { Bytes::new() },
            assignment: if settled { m.assignment.clone() } else { Bytes::new() },
        };
        self.members.iter().map(view).collect()
    }

    /// Topics that the members of a consumer group are subscribed to, as far as that can be read.
    pub fn subscriptions(&self) -> impl Iterator<Item = Bytes> + '_ {
        self.members.values().map(|m| m.metadata(self.protocol.as_deref()))
    }

    /// Somebody wants to join. The answer goes to `reply`, now or when the group is ready.
    pub fn join(&mut self, now: Instant, join: Join, fresh_id: &str, reply: oneshot::Sender<Joined>) {
        if let Err(error) = self.admit(&join) {
            refuse(reply, error, &join.member);
            return;
        }
        let taken = join.instance.as_ref().and_then(|i| self.statics.get(i)).cloned();
        match (join.member.is_empty(), taken) {
            (true, Some(old)) => self.replace_static(now, &old, join, fresh_id, reply),
            (true, None) if join.id_first && join.instance.is_none() => {
                self.expected.insert(fresh_id.to_owned(), now + join.session);
                refuse(reply, ResponseError::MemberIdRequired, fresh_id);
            }
            (true, None) => self.add(now, fresh_id.to_owned(), join, reply),
            (false, Some(old)) if old != join.member => {
                refuse(reply, ResponseError::FencedInstanceId, &join.member);
            }
            (false, None) if join.instance.is_some() => {
                refuse(reply, ResponseError::UnknownMemberId, &join.member);
            }
            (false, _) if self.expected.remove(&join.member).is_some() => {
                self.add(now, join.member.clone(), join, reply);
            }
            (false, _) => self.rejoin(now, join, reply),
        }
    }

    fn admit(&self, join: &Join) -> Result<(), ResponseError> {
        if join.protocols.is_empty() || join.protocol_type.is_empty() {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let others = || self.members.iter().filter(|(id, _)| **id != join.member);
        if others().next().is_some() {
            let fits = |name: &String| others().all(|(_, m)| m.protocols.iter().any(|(n, _)| n == name));
            let same_type = self.protocol_type.as_ref() == Some(&join.protocol_type);
            if !same_type || !join.protocols.iter().any(|(name, _)| fits(name)) {
                return Err(ResponseError::InconsistentGroupProtocol);
            }
        }
        let is_new = !self.members.contains_key(&join.member);
        if is_new && self.members.len() + self.expected.len() >= self.most_members {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        Ok(())
    }

    fn add(&mut self, now: Instant, id: String, join: Join, reply: oneshot::Sender<Joined>) {
        if let Some(instance) = &join.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.protocol_type = Some(join.protocol_type);
        let member = Member {
            instance: join.instance,
            client_id: join.client_id,
            client_host: join.client_host,
            session: join.session,
            rebalance: join.rebalance,
            protocols: join.protocols,
            assignment: Bytes::new(),
            join: Some(reply),
            sync: None,
            deadline: now + join.session,
        };
        self.members.insert(id, member);
        if let (State::Preparing, Some(first)) = (self.state, self.first) {
            // A new group is still waiting for its first members.
            self.deadline = Some((now + FIRST_WAIT).min(first + FIRST_WAIT_MOST));
        }
        self.rebalance(now);
    }

    /// A static member has come back as another process: it takes the place of the old one.
    fn replace_static(
        &mut self,
        now: Instant,
        old: &str,
        join: Join,
        id: &str,
        reply: oneshot::Sender<Joined>,
    ) {
        let Some(mut member) = self.members.remove(old) else {
            return self.add(now, id.to_owned(), join, reply);
        };
        if let Some(waiting) = member.join.take() {
            refuse(waiting, ResponseError::FencedInstanceId, old);
        }
        if let Some(waiting) = member.sync.take() {
            let _ = waiting.send(Err(ResponseError::FencedInstanceId));
        }
        let leader_before = self.leader.clone().unwrap_or_default();
        if self.leader.as_deref() == Some(old) {
            self.leader = Some(id.to_owned());
        }
        if let Some(instance) = &join.instance {
            self.statics.insert(instance.clone(), id.to_owned());
        }
        let unchanged = member.protocols == join.protocols;
        (member.client_id, member.client_host) = (join.client_id, join.client_host);
        (member.session, member.rebalance) = (join.session, join.rebalance);
        (member.protocols, member.deadline) = (join.protocols, now + join.session);
        member.join = Some(reply);
        self.members.insert(id.to_owned(), member);
        if self.state == State::Stable && unchanged {
            let leads = self.leader.as_deref() == Some(id);
            let mut joined = self.joined(id, leads && join.can_skip);
            joined.skip = leads && join.can_skip;
            if !join.can_skip {
                joined.leader = leader_before;
            }
            self.answer_join(id, joined);
        } else {
            self.rebalance(now);
        }
    }

    fn rejoin(&mut self, now: Instant, join: Join, reply: oneshot::Sender<Joined>) {
        let id = join.member;
        let leads = self.leader.as_deref() == Some(&id);
        let Some(member) = self.members.get_mut(&id) else {
            return refuse(reply, ResponseError::UnknownMemberId, &id);
        };
        let unchanged = member.protocols == join.protocols;
        member.protocols = join.protocols;
        (member.session, member.rebalance) = (join.session, join.rebalance);
        member.deadline = now + join.session;
        member.join = Some(reply);
        match self.state {
            // It missed the answer to its join, or asks whether anything is new.
            State::Completing if unchanged => {
                let joined = self.joined(&id, leads);
                self.answer_join(&id, joined);
            }
            State::Stable if unchanged && !leads => {
                let joined = self.joined(&id, false);
                self.answer_join(&id, joined);
            }
            _ => self.rebalance(now),
        }
    }

    fn joined(&self, id: &str, with_members: bool) -> Joined {
        let protocol = self.protocol.as_deref();
        let all = self.members.iter().map(|(id, m)| (id.clone(), m.instance.clone(), m.metadata(protocol)));
        Joined {
            error: None,
            member: id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip: false,
            members: if with_members { all.collect() } else { Vec::new() },
        }
    }

    fn answer_join(&mut self, id: &str, joined: Joined) {
        if let Some(reply) = self.members.get_mut(id).and_then(|m| m.join.take()) {
            let _ = reply.send(joined);
        }
    }

    /// Begins a rebalance, or sees whether the one that is under way can end.
    fn rebalance(&mut self, now: Instant) {
        match self.state {
            State::Preparing => {}
            State::Empty => {
                self.first = Some(now);
                self.deadline = Some(now + FIRST_WAIT);
            }
            State::Completing | State::Stable => {
                for member in self.members.values_mut() {
                    if let Some(reply) = member.sync.take() {
                        let _ = reply.send(Err(ResponseError::RebalanceInProgress));
                    }
                    member.assignment = Bytes::new();
                }
                self.first = None;
                self.deadline = Some(now + self.longest_rebalance());
            }
        }
        self.state = State::Preparing;
        self.try_complete(now);
    }

    fn longest_rebalance(&self) -> Duration {
        self.members.values().map(|m| m.rebalance).max().unwrap_or(Duration::ZERO)
    }

    fn try_complete(&mut self, now: Instant) {
        let due = self.deadline.is_none_or(|d| now >= d);
        let all = self.expected.is_empty() && self.members.values().all(|m| m.join.is_some());
        if self.state == State::Preparing && (due || (all && self.first.is_none()) || self.members.is_empty())
        {
            self.complete_join(now);
        }
    }

    /// Joining is over: who has not come is out, and the leader is asked for an assignment.
    fn complete_join(&mut self, now: Instant) {
        let late = |m: &Member| m.join.is_none() && m.instance.is_none();
        let out: Vec<String> =
            self.members.iter().filter(|(_, m)| late(m)).map(|(id, _)| id.clone()).collect();
        for id in out {
            self.drop_member(&id, ResponseError::UnknownMemberId);
        }
        self.first = None;
        self.generation = self.generation.wrapping_add(1).max(1);
        if !self.members.values().any(|m| m.join.is_some()) {
            // Static members that have not come yet keep their places until their sessions end.
            self.protocol = None;
            if self.members.is_empty() {
                (self.state, self.deadline, self.leader) = (State::Empty, None, None);
            } else {
                self.deadline = Some(now + self.longest_rebalance().max(Duration::from_millis(100)));
            }
            return;
        }
        let has_come = |id: &String| self.members.get(id).is_some_and(|m| m.join.is_some());
        if !self.leader.as_ref().is_some_and(has_come) {
            self.leader = self.members.iter().find(|(_, m)| m.join.is_some()).map(|(id, _)| id.clone());
        }
        self.protocol = self.vote();
        self.state = State::Completing;
        self.deadline = Some(now + self.longest_rebalance());
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id, self.leader.as_ref() == Some(&id));
            self.answer_join(&id, joined);
            if let Some(member) = self.members.get_mut(&id) {
                member.deadline = now + member.session;
            }
        }
    }

    /// The protocol that all members know and most of them like best.
    fn vote(&self) -> Option<String> {
        let known = |name: &String| self.members.values().all(|m| m.protocols.iter().any(|(n, _)| n == name));
        let mut votes: BTreeMap<&String, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| known(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, n)| *n).map(|(name, _)| name.clone())
    }

    /// Is this a member of this generation?
    pub fn check(&self, id: &str, instance: Option<&str>, generation: i32) -> Result<(), ResponseError> {
        self.check_member(id, instance)?;
        if generation == self.generation { Ok(()) } else { Err(ResponseError::IllegalGeneration) }
    }

    fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            return match self.statics.get(instance) {
                Some(known) if known == id => Ok(()),
                Some(_) => Err(ResponseError::FencedInstanceId),
                None => Err(ResponseError::UnknownMemberId),
            };
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// A member asks for its assignment; the leader brings those of all.
    pub fn sync(&mut self, now: Instant, sync: Sync, reply: oneshot::Sender<Synced>) {
        let checked = self.check(&sync.member, sync.instance.as_deref(), sync.generation);
        let other = |said: &Option<String>, is: &Option<String>| said.is_some() && said != is;
        let mismatch =
            other(&sync.protocol.0, &self.protocol_type) || other(&sync.protocol.1, &self.protocol);
        let refusal = match (checked, self.state) {
            (Err(error), _) => Some(error),
            (Ok(()), _) if mismatch => Some(ResponseError::InconsistentGroupProtocol),
            (Ok(()), State::Empty) => Some(ResponseError::UnknownMemberId),
            (Ok(()), State::Preparing) => Some(ResponseError::RebalanceInProgress),
            (Ok(()), State::Completing | State::Stable) => None,
        };
        if let Some(error) = refusal {
            let _ = reply.send(Err(error));
            return;
        }
        let Some(member) = self.members.get_mut(&sync.member) else { return };
        member.deadline = now + member.session;
        member.sync = Some(reply);
        if self.state == State::Completing && self.leader.as_ref() == Some(&sync.member) {
            for (id, assignment) in sync.assignments {
                if let Some(member) = self.members.get_mut(&id) {
                    member.assignment = assignment;
                }
            }
            self.state = State::Stable;
            self.deadline = None;
        }
        if self.state == State::Stable {
            self.answer_syncs(now);
        }
    }

    fn answer_syncs(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            if let Some(reply) = member.sync.take() {
                member.deadline = now + member.session;
                let all = (self.protocol_type.clone(), self.protocol.clone(), member.assignment.clone());
                let _ = reply.send(Ok(all));
            }
        }
    }

    /// A member says that it is alive.
    pub fn heartbeat(
        &mut self,
        now: Instant,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        self.check(id, instance, generation)?;
        if let Some(member) = self.members.get_mut(id) {
            member.deadline = now + member.session;
        }
        match self.state {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::Preparing => Err(ResponseError::RebalanceInProgress),
            State::Completing | State::Stable => Ok(()),
        }
    }

    /// A member leaves, named by its id or its instance. Gives its id.
    pub fn leave(&mut self, now: Instant, id: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        if self.expected.remove(id).is_some() {
            self.try_complete(now);
            return Ok(());
        }
        let known = match instance {
            Some(i) => self.statics.get(i).cloned().ok_or(ResponseError::UnknownMemberId)?,
            None => id.to_owned(),
        };
        if !id.is_empty() && known != id {
            return Err(ResponseError::FencedInstanceId);
        }
        if !self.members.contains_key(&known) {
            return Err(ResponseError::UnknownMemberId);
        }
        self.drop_member(&known, ResponseError::UnknownMemberId);
        self.rebalance(now);
        Ok(())
    }

    fn drop_member(&mut self, id: &str, error: ResponseError) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance) = &member.instance {
            self.statics.remove(instance);
        }
        if let Some(reply) = member.join {
            refuse(reply, error, id);
        }
        if let Some(reply) = member.sync {
            let _ = reply.send(Err(error));
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        let members = self.members.values().filter(|m| m.join.is_none() && m.sync.is_none());
        let silent = members.map(|m| m.deadline).min();
        let expected = self.expected.values().min().copied();
        [self.deadline, silent, expected].into_iter().flatten().min()
    }

    /// Does what time has made due.
    pub fn tick(&mut self, now: Instant) {
        let expected = self.expected.len();
        self.expected.retain(|_, deadline| *deadline > now);
        let silent = |m: &Member| m.join.is_none() && m.sync.is_none() && m.deadline <= now;
        let out: Vec<String> =
            self.members.iter().filter(|(_, m)| silent(m)).map(|(id, _)| id.clone()).collect();
        for id in &out {
            self.drop_member(id, ResponseError::UnknownMemberId);
        }
        let late = self.deadline.is_some_and(|d| now >= d);
        if late && self.state == State::Completing {
            // The leader did not assign, or others did not ask: who has not asked is out.
            let mute = |m: &Member| m.sync.is_none();
            let out: Vec<String> =
                self.members.iter().filter(|(_, m)| mute(m)).map(|(id, _)| id.clone()).collect();
            for id in out {
                self.drop_member(&id, ResponseError::UnknownMemberId);
            }
            self.rebalance(now);
        } else if !out.is_empty() {
            self.rebalance(now);
        } else if late || expected != self.expected.len() {
            self.try_complete(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Duration = Duration::from_secs(6);
    const REBALANCE: Duration = Duration::from_secs(30);

    fn join(member: &str, instance: Option<&str>) -> Join {
        Join {
            member: member.to_owned(),
            instance: instance.map(str::to_owned),
            session: SESSION,
            rebalance: REBALANCE,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), Bytes::from_static(b"m"))],
            id_first: true,
            can_skip: true,
            ..Join::default()
        }
    }

    fn ask(group: &mut Group, now: Instant, join: Join, fresh: &str) -> oneshot::Receiver<Joined> {
        let (reply, answer) = oneshot::channel();
        group.join(now, join, fresh, reply);
        answer
    }

    fn sync(group: &mut Group, now: Instant, member: &str, all: &[&str]) -> oneshot::Receiver<Synced> {
        let (reply, answer) = oneshot::channel();
        let assignments = all.iter().map(|id| ((*id).to_owned(), Bytes::from(format!("for {id}")))).collect();
        let generation = group.generation;
        group.sync(
            now,
            Sync { member: member.to_owned(), generation, assignments, ..Sync::default() },
            reply,
        );
        answer
    }

    /// A stable group of these members; the first one leads.
    fn stable(now: Instant, members: &[(&str, Option<&str>)]) -> Group {
        let mut group = Group::new(10);
        let mut answers = Vec::new();
        for (id, instance) in members {
            if instance.is_none() {
                let told = ask(&mut group, now, join("", None), id).try_recv().unwrap();
                assert_eq!(told.error, Some(ResponseError::MemberIdRequired));
                answers.push(ask(&mut group, now, join(id, None), ""));
            } else {
                answers.push(ask(&mut group, now, join("", *instance), id));
            }
        }
        let first = answers[0].try_recv();
        assert!(first.is_err(), "a new group waits for more members");
        group.tick(now + FIRST_WAIT_MOST);
        let ids: Vec<&str> = members.iter().map(|(id, _)| *id).collect();
        for (answer, id) in answers.iter_mut().zip(&ids) {
            let joined = answer.try_recv().unwrap();
            assert_eq!((joined.error, joined.generation), (None, 1));
            assert_eq!(joined.members.len(), if joined.leader == *id { ids.len() } else { 0 });
        }
        let leader = group.leader.clone().unwrap();
        for id in ids.iter().filter(|id| **id != leader) {
            let mut waits = sync(&mut group, now, id, &[]);
            assert!(waits.try_recv().is_err(), "the leader has not assigned yet");
        }
        let mut done = sync(&mut group, now, &leader, &ids);
        assert_eq!(done.try_recv().unwrap().unwrap().2, format!("for {leader}"));
        assert_eq!(group.state(), State::Stable);
        group
    }

    #[test]
    fn a_newcomer_makes_everybody_join_again_and_who_is_late_is_out() {
        let now = Instant::now();
        let mut group = stable(now, &[("a", None), ("b", None)]);
        ask(&mut group, now, join("", None), "c").try_recv().unwrap();
        let mut c = ask(&mut group, now, join("c", None), "");
        assert_eq!(group.heartbeat(now, "a", None, 1), Err(ResponseError::RebalanceInProgress));
        let mut a = ask(&mut group, now, join("a", None), "");
        assert!(a.try_recv().is_err() && c.try_recv().is_err(), "b is missing");
        // b shows that it is alive, and doesn't come.
        let mut later = now;
        while later < now + REBALANCE {
            later += Duration::from_secs(3);
            let _ = group.heartbeat(later, "b", None, 1);
            group.tick(later);
        }
        assert_eq!(a.try_recv().unwrap().generation, 2);
        assert_eq!(c.try_recv().unwrap().generation, 2);
        assert_eq!(group.heartbeat(later, "b", None, 2), Err(ResponseError::UnknownMemberId));
        assert_eq!(group.check("a", None, 1), Err(ResponseError::IllegalGeneration));
    }

    #[test]
    fn who_is_silent_is_out_and_the_others_hear_of_it() {
        let now = Instant::now();
        let mut group = stable(now, &[("a", None), ("b", None)]);
        let later = now + SESSION - Duration::from_secs(1);
        group.heartbeat(later, "a", None, 1).unwrap();
        assert!(group.next_deadline().unwrap() <= now + SESSION);
        group.tick(now + SESSION);
        assert_eq!(group.heartbeat(later, "a", None, 1), Err(ResponseError::RebalanceInProgress));
        let mut a = ask(&mut group, later, join("a", None), "");
        let joined = a.try_recv().unwrap();
        assert_eq!((joined.generation, joined.members.len()), (2, 1));
        group.leave(later, "a", None).unwrap();
        assert_eq!(group.state(), State::Empty);
        assert!(group.is_idle() && group.next_deadline().is_none());
    }

    #[test]
    fn a_static_member_comes_back_without_a_rebalance_and_fences_its_double() {
        let now = Instant::now();
        let mut group = stable(now, &[("x-1", Some("x")), ("y-1", Some("y"))]);
        let leader = group.leader.clone().unwrap();
        let instance = &leader[..1];
        let back = ask(&mut group, now, join("", Some(instance)), "new").try_recv().unwrap();
        assert_eq!((back.error, back.generation, back.skip), (None, 1, true));
        assert_eq!((back.members.len(), back.leader.as_str()), (2, "new"));
        assert_eq!(group.state(), State::Stable);
        let mut done = sync(&mut group, now, "new", &[]);
        assert_eq!(done.try_recv().unwrap().unwrap().2, format!("for {leader}"), "it has what it had");
        let double = group.heartbeat(now, &leader, Some(instance), 1);
        assert_eq!(double, Err(ResponseError::FencedInstanceId));
        let rejoin = ask(&mut group, now, join(&leader, Some(instance)), "").try_recv().unwrap();
        assert_eq!(rejoin.error, Some(ResponseError::FencedInstanceId));
    }

    #[test]
    fn who_does_not_fit_is_refused() {
        let now = Instant::now();
        let mut group = stable(now, &[("a", None)]);
        let mut other = join("", None);
        other.protocols[0].0 = "sticky".to_owned();
        let refused = ask(&mut group, now, other, "b").try_recv().unwrap();
        assert_eq!(refused.error, Some(ResponseError::InconsistentGroupProtocol));
        let stranger = ask(&mut group, now, join("nobody", None), "b").try_recv().unwrap();
        assert_eq!(stranger.error, Some(ResponseError::UnknownMemberId));
        group.most_members = 1;
        let full = ask(&mut group, now, join("", None), "b").try_recv().unwrap();
        assert_eq!(full.error, Some(ResponseError::GroupMaxSizeReached));
    }
}
