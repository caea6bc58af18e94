//! Flow logs: network resources whose traffic is recorded into a topic.
//!
//! One flow log for a resource (of an account). A topic that is written can't be removed meanwhile. What a resource is, and whether it
//! can be observed here at all, the [`Observers`](crate::Observers) say before anything is stored: a flow log that can't see anything
//! is refused, never kept silently.

use std::cmp::Ordering;

use model::{ConnectionId, EndKind, FlowLog, FlowLogId, FlowLogState, LogTopic};

use crate::ends::{check_name, check_words};
use crate::flows::check_attributes;
use crate::{
    Caller, Cluster, Control, Error, ErrorKind, FlowLogChange, FlowLogFilter, FlowLogOrder, NewFlowLog, Noun,
    Result, TagFilter, WantedNetwork,
};

/// Longest name, in bytes (60 characters of the products).
const MAX_NAME: usize = 240;

impl Control {
    /// Makes a flow log; it is enabled.
    ///
    /// # Errors
    /// `NotFound` (`Network`, `Connection`, `Topic`), `Exists(FlowLog)` the resource has one, `Denied` no right to observe, `InvalidState`
    /// the device isn't there, `Unsupported`, `LimitExceeded`, `Unreachable` the cluster does not answer, `Invalid`.
    pub async fn create_flow_log(&self, c: &Caller, new: NewFlowLog) -> Result<FlowLog> {
        check_name(&new.name, MAX_NAME, "name")?;
        check_words(&new.description, "description")?;
        check_attributes(&new.tags)?;
        let mut made = FlowLog {
            id: self.new_flow_log_id(),
            account: c.account.clone(),
            app_id: new.app_id,
            name: new.name,
            description: new.description,
            kind: new.kind,
            resource: new.resource,
            vpc: new.vpc,
            traffic: new.traffic,
            period_s: new.period_s,
            topic: LogTopic {
                connection: ConnectionId(new.connection),
                topic: String::new(),
                asked: new.topic,
            },
            log_id: new.log_id,
            log_region: new.log_region,
            region: new.region,
            tags: new.tags,
            created: self.now(),
            enabled: true,
            attempt: 0,
            state: FlowLogState::default(),
        };
        self.check_observed(&made).await?;
        self.refuse_second(&made).await?;
        let entry = self.find_log_topic(c, &mut made.topic).await?;
        for _ in 0..4 {
            let limit = self.0.limits.flow_logs_per_account;
            match self.0.store.insert_flow_log(&made, entry.as_deref(), limit).await {
                Ok(()) => {
                    self.0.observers().wake();
                    return Ok(made);
                }
                // Either somebody else was quicker, or the id is taken.
                Err(e) if e.kind() == store::ErrorKind::Exists => {
                    self.refuse_second(&made).await?;
                    made.id = self.new_flow_log_id();
                }
                Err(e) => return Err(e.into()),
            }
        }
        Err(Error::new(ErrorKind::Internal, "no free id was found"))
    }

    fn new_flow_log_id(&self) -> FlowLogId {
        FlowLogId(format!("fl-{}", self.0.random.base36(8)))
    }

    async fn check_observed(&self, f: &FlowLog) -> Result<()> {
        use connector::ErrorKind as C;
        let wanted = WantedNetwork {
            account: f.account.clone(),
            kind: f.kind,
            resource: f.resource.clone(),
            vpc: f.vpc.clone(),
            traffic: f.traffic,
        };
        self.0.observers().check(&wanted).await.map_err(|e| {
            let kind = match e.kind() {
                C::NotFound => ErrorKind::NotFound(Noun::Network),
                C::Denied => ErrorKind::Denied,
                C::Unsupported => ErrorKind::Unsupported,
                C::Unavailable => ErrorKind::InvalidState,
                _ => ErrorKind::Internal,
            };
            Error::new(kind, e.to_string()).field("resource")
        })
    }

    async fn refuse_second(&self, f: &FlowLog) -> Result<()> {
        let all = self.0.store.flow_logs().await?;
        match all.iter().find(|o| o.account == f.account && o.resource == f.resource) {
            None => Ok(()),
            Some(other) => {
                let message = format!("{} has the flow log {} already", f.resource, other.id);
                Err(Error::new(ErrorKind::Exists(Noun::FlowLog), message))
            }
        }
    }

    /// Finds the topic on its cluster, and its entry where it has one.
    async fn find_log_topic(&self, c: &Caller, t: &mut LogTopic) -> Result<Option<String>> {
        let connection = self.connection(c, &t.connection).await.map_err(|e| e.field("connection"))?;
        if connection.kind != Some(EndKind::Kafka) {
            let message = format!("{} is no Kafka cluster", t.connection);
            return Err(Error::new(ErrorKind::Unsupported, message).field("connection"));
        }
        let cluster = Cluster { connection: connection.address, secret: connection.secret };
        let mut entry = None;
        t.topic.clone_from(&t.asked);
        if self.is_own(&cluster) {
            if let Some(known) = self.0.store.topic(&t.asked).await? {
                t.topic = known.name;
            }
            entry = self.usable(c, &t.topic).await.map_err(|e| e.field("topic"))?;
        }
        let names = [t.topic.clone()];
        let found = self.0.streams.topics(&cluster, Some(&names));
        if self.answered(found, Noun::Topic).await?.is_empty() {
            return Err(Error::not_found(Noun::Topic, &t.asked).field("topic"));
        }
        Ok(entry)
    }

    /// One flow log, with what has become of it as of now.
    ///
    /// # Errors
    /// `NotFound(FlowLog)`.
    pub async fn flow_log(&self, c: &Caller, id: &FlowLogId) -> Result<FlowLog> {
        let found = self.0.store.flow_log(id).await?.filter(|f| c.may_see(&f.account));
        found.map(|f| self.alive(f)).ok_or_else(|| Error::not_found(Noun::FlowLog, id))
    }

    fn alive(&self, mut f: FlowLog) -> FlowLog {
        if let Some(state) = self.0.observers().live(&f.id) {
            f.state = state;
        }
        f
    }

    /// A page of the caller's flow logs that answer the filter, and how many do. The operator sees all.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn flow_logs(&self, c: &Caller, f: &FlowLogFilter) -> Result<(Vec<FlowLog>, u64)> {
        let all = self.0.store.flow_logs().await?;
        let mut found: Vec<&FlowLog> =
            all.iter().filter(|l| c.may_see(&l.account) && answers(f, l)).collect();
        found.sort_by(|a, b| {
            let first = match f.order {
                FlowLogOrder::Created => Ordering::Equal,
                FlowLogOrder::Name => a.name.cmp(&b.name),
            };
            first.then(a.created.cmp(&b.created)).then_with(|| a.id.cmp(&b.id))
        });
        if f.page.newest_first {
            found.reverse();
        }
        let total = found.len() as u64;
        let (offset, limit) = (usize::try_from(f.page.offset), usize::try_from(f.page.limit));
        let stretch = found.into_iter().skip(offset.unwrap_or(usize::MAX)).take(limit.unwrap_or(usize::MAX));
        Ok((stretch.map(|l| self.alive(l.clone())).collect(), total))
    }

    /// Changes a flow log. A run takes a new period with its next window.
    ///
    /// # Errors
    /// `NotFound(FlowLog)`, `Invalid`.
    pub async fn change_flow_log(
        &self,
        c: &Caller,
        id: &FlowLogId,
        change: FlowLogChange,
    ) -> Result<FlowLog> {
        self.flow_log(c, id).await?;
        if let Some(name) = &change.name {
            check_name(name, MAX_NAME, "name")?;
        }
        if let Some(words) = &change.description {
            check_words(words, "description")?;
        }
        let changed = self.0.store.change_flow_log(id, |f| {
            if let Some(name) = change.name {
                f.name = name;
            }
            if let Some(words) = change.description {
                f.description = words;
            }
            f.period_s = change.period_s.or(f.period_s);
            Ok::<_, Error>(())
        });
        let changed = changed.await.map_err(|e| match e.kind() {
            store::ErrorKind::NotFound => Error::not_found(Noun::FlowLog, id),
            _ => e.into(),
        })??;
        self.0.observers().wake();
        Ok(self.alive(changed))
    }

    /// Switches flow logs on or off: all of them, or none. One that is to be switched on has to be observable.
    ///
    /// # Errors
    /// `NotFound(FlowLog)` names the first that isn't there; as [`Control::create_flow_log`] what can't be observed.
    pub async fn switch_flow_logs(&self, c: &Caller, ids: &[FlowLogId], on: bool) -> Result<()> {
        for id in ids {
            let found = self.flow_log(c, id).await?;
            if on && !found.enabled {
                self.check_observed(&found).await?;
            }
        }
        self.0.store.switch_flow_logs(ids, on).await.map_err(|e| match e.kind() {
            store::ErrorKind::NotFound => Error::new(ErrorKind::NotFound(Noun::FlowLog), e.message()),
            _ => e.into(),
        })?;
        self.0.observers().wake();
        Ok(())
    }

    /// Removes a flow log. What it has written stays in its topic.
    ///
    /// # Errors
    /// `NotFound(FlowLog)`.
    pub async fn delete_flow_log(&self, c: &Caller, id: &FlowLogId) -> Result<()> {
        self.flow_log(c, id).await?;
        if !self.0.store.remove_flow_log(id).await? {
            return Err(Error::not_found(Noun::FlowLog, id));
        }
        self.0.observers().wake();
        Ok(())
    }
}

fn answers(f: &FlowLogFilter, l: &FlowLog) -> bool {
    fn is<T: PartialEq>(wanted: Option<&T>, has: &T) -> bool {
        wanted.is_none_or(|w| w == has)
    }
    is(f.id.as_ref(), &l.id)
        && f.name.as_ref().is_none_or(|n| l.name.contains(n.as_str()))
        && is(f.vpc.as_ref(), &l.vpc)
        && is(f.kind.as_ref(), &l.kind)
        && is(f.resource.as_ref(), &l.resource)
        && is(f.traffic.as_ref(), &l.traffic)
        && is(f.log_id.as_ref(), &l.log_id)
        && is(f.log_region.as_ref(), &l.log_region)
        && is(f.topic_gone.as_ref(), &l.state.topic_gone)
        && f.tags.iter().all(|t| match t {
            TagFilter::Keys(keys) => keys.iter().any(|k| l.tags.contains_key(k)),
            TagFilter::Values(key, values) => l.tags.get(key).is_some_and(|v| values.contains(v)),
        })
}
