//! Doing a round again: after an abort, without what was lost or is refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use connector::records::{Refused, Split, Unit};
use connector::{Error, ErrorKind, Result};

use super::KafkaSink;
use super::round::{Round, named, tag};
use super::target::{Making, Target, doubtful, look_up};
use super::writer::{self, Keeping, Trouble};
use crate::fault::{during, of_record};
use crate::raw::{Client, Code, Failed, Fault, Outgoing, Topic};

/// How often a round is tried before the lane ends.
const ATTEMPTS: u32 = 8;
/// Tries to find refused records in one round, at most.
const PROBES: usize = 2000;
/// The smallest batch that a client is set to.
const SMALLEST: u32 = 1024;

impl KafkaSink {
    /// Writes a round whose transaction failed once more.
    pub(super) async fn again(
        &mut self,
        mut round: Round,
        mut fault: Fault,
        mut failed: Vec<Failed>,
    ) -> Result<()> {
        tracing::debug!("{}: a round is done again: {}", self.describe, fault.text);
        for attempt in 0..ATTEMPTS {
            self.abort().await?;
            self.keep_owned(&mut round);
            if failed.iter().any(|f| of_record(f.code)) {
                round = self.without_refused(round, &failed).await?;
            } else {
                tokio::time::sleep(Duration::from_millis(100) * (1 << attempt.min(5))).await;
            }
            if self.transactional.is_none() {
                let left = failed.iter().map(|f| f.tag).filter(|t| self.still(&round, *t));
                round.only = Some(left.collect());
            }
            match self.rewrite(round).await? {
                Ok(()) => return Ok(()),
                Err((left, f, more)) => (round, fault, failed) = (left, f, more),
            }
        }
        Err(during("records can't be written")(self.client.explain(fault)))
    }

    fn still(&self, round: &Round, tag: usize) -> bool {
        let (unit, record) = named(tag);
        round.wants(unit, record)
    }

    /// Units of splits that the source has lost are another lane's now.
    fn keep_owned(&self, round: &mut Round) {
        if let Keeping::Group(group) | Keeping::Topic { source: Some(group), .. } = &self.keeping {
            round.retain(|split| group.owns(split));
        }
    }

    pub(super) async fn abort(&mut self) -> Result<()> {
        self.spoiled = None;
        if self.begun {
            self.block(|client| writer::abort(client)).await?;
            self.begun = false;
        }
        Ok(())
    }

    /// Produces all of a round into a new transaction and ends it.
    async fn rewrite(&mut self, round: Round) -> Result<Result<(), (Round, Fault, Vec<Failed>)>> {
        if round.is_empty() {
            return Ok(Ok(()));
        }
        self.reproduce(round).await?;
        self.begin()?;
        let round = std::mem::take(&mut self.open);
        let marks = round.marks(&self.books, &*self.host).await?;
        let (keeping, positions) = (self.keeping.clone(), marks.clone());
        let ended = match self.spoiled.take() {
            Some(fault) => Err(Trouble::Again { fault, failed: self.client.take_failed() }),
            None => self.block(move |client| Ok(writer::commit(client, &keeping, &positions))).await?,
        };
        match ended {
            Ok(()) => {
                self.begun = false;
                self.settle(marks);
                Ok(Ok(()))
            }
            Err(Trouble::Over(e)) => Err(e),
            Err(Trouble::Again { fault, failed }) => Ok(Err((round, fault, failed))),
        }
    }

    /// Makes `round` the open one and gives it to the library.
    async fn reproduce(&mut self, round: Round) -> Result<()> {
        self.open = round;
        for index in 0..self.open.units.len() {
            let Some(unit) = self.open.units.get(index).cloned() else { break };
            let plan = self.plan(index, &unit).await?;
            self.begin()?;
            self.produce_unit(index, &unit, &plan).await?;
        }
        Ok(())
    }

    /// Takes splits out of the open transaction.
    pub(super) async fn drop_open(&mut self, splits: &[Split]) -> Result<()> {
        let mut round = std::mem::take(&mut self.open);
        self.abort().await?;
        round.retain(|s| !splits.contains(s));
        self.reproduce(round).await
    }

    /// A client whose batches are as small as the topics want them. What is open is given to it anew.
    pub(super) async fn shrink(&mut self) -> Result<()> {
        let Some(max) = self.targets.smallest().filter(|max| *max < self.batch) else { return Ok(()) };
        let mut round = std::mem::take(&mut self.open);
        let last = round.units.pop();
        self.abort().await?;
        self.rebuild(max.max(SMALLEST)).await?;
        self.reproduce(round).await?;
        self.open.units.extend(last);
        Ok(())
    }

    /// Positions are kept in this topic.
    pub(super) fn keep_in(&mut self, prepared: Arc<Topic>) {
        if let Keeping::Topic { topic, .. } = &mut self.keeping {
            *topic = Some(prepared);
        }
    }

    async fn rebuild(&mut self, batch: u32) -> Result<()> {
        let compression = self.options.compression.as_deref().unwrap_or("none");
        let settings = writer::settings(self.base.clone(), self.transactional.as_deref(), compression, batch);
        let names = self.targets.clear();
        self.client = Client::producer(&settings).map_err(during("the Kafka producer can't be made"))?;
        self.batch = batch;
        if matches!(self.keeping, Keeping::Topic { topic: Some(_), .. }) {
            let prepared = self.block(super::positions::prepare).await?;
            self.keep_in(prepared);
        }
        if self.fenced {
            self.block(|client| writer::fence(client)).await?;
        }
        for name in names {
            self.target(&name, 0).await?;
        }
        Ok(())
    }

    /// Finds the records that the broker refuses. What the topics take is asked for once more; if that explains nothing, the
    /// suspects are tried in halves, in transactions that are aborted.
    async fn without_refused(&mut self, mut round: Round, failed: &[Failed]) -> Result<Round> {
        let before = self.targets.smallest();
        self.refresh().await?;
        if self.targets.smallest() != before {
            if let Some(max) = self.targets.smallest().filter(|max| *max < self.batch) {
                self.rebuild(max.max(SMALLEST)).await?;
            }
            return Ok(round);
        }
        let named: HashSet<usize> = failed.iter().filter(|f| of_record(f.code)).map(|f| f.tag).collect();
        let mut suspects: Vec<(usize, Target)> = Vec::new();
        let mut others = Vec::new();
        for (index, unit) in round.units.iter().enumerate() {
            let wanted: Vec<usize> =
                (0..unit.batch.len()).filter(|i| named.contains(&tag(index, *i))).collect();
            for i in wanted {
                let Some((target, weight)) = self.looked_at(unit, i).await? else { continue };
                let list = if doubtful(&target.rules, weight) { &mut suspects } else { &mut others };
                list.push((tag(index, i), target));
            }
        }
        let suspects = if suspects.is_empty() { others } else { suspects };
        self.bisect(&mut round, suspects).await?;
        Ok(round)
    }

    async fn looked_at(&mut self, unit: &Unit, index: usize) -> Result<Option<(Target, usize)>> {
        let Some(record) = unit.batch.get(index) else { return Ok(None) };
        let split = unit.batch.split();
        let name = match self.routes.whole(split) {
            Some(name) => name.into_owned(),
            None => match self.routes.single(index, &record) {
                Ok(name) => name.to_owned(),
                Err(_) => return Ok(None),
            },
        };
        let weight = usize::try_from(record.weight()).unwrap_or(usize::MAX);
        Ok(Some((self.target(&name, split.partition).await?, weight)))
    }

    async fn refresh(&mut self) -> Result<()> {
        let making = Making { allowed: false, partitions: None };
        for name in self.targets.clear() {
            let wanted = name.clone();
            let target = self.block(move |client| look_up(client, &wanted, making, 1)).await?;
            self.targets.insert(&name, target);
        }
        Ok(())
    }

    async fn bisect(&mut self, round: &mut Round, suspects: Vec<(usize, Target)>) -> Result<()> {
        let mut sets = vec![suspects];
        let mut probes = 0;
        while let Some(mut set) = sets.pop() {
            if set.is_empty() {
                continue;
            }
            probes += 1;
            if probes > PROBES {
                return Err(Error::new(
                    ErrorKind::Unacceptable,
                    "the broker refuses too many records of one transaction",
                ));
            }
            let Some(code) = self.probe(round, &set).await? else {
                // Without transactions what was tried is written.
                if let (None, Some(only)) = (&self.transactional, &mut round.only) {
                    set.iter().for_each(|(tag, _)| {
                        only.remove(tag);
                    });
                }
                continue;
            };
            if let [(tag, _)] = &*set {
                let (unit, index) = named(*tag);
                let reason = format!("the broker refuses it: {}", Fault::of(code).text);
                round.refuse(unit, Refused { index, kind: ErrorKind::Unacceptable, reason });
                continue;
            }
            let rest = set.split_off(set.len() / 2);
            sets.push(rest);
            sets.push(set);
        }
        Ok(())
    }

    /// Does the broker refuse one of these?
    async fn probe(&mut self, round: &Round, set: &[(usize, Target)]) -> Result<Option<Code>> {
        self.begin()?;
        for (tag, target) in set {
            let (unit, index) = named(*tag);
            let Some(unit) = round.units.get(unit) else { continue };
            let Some(record) = unit.batch.get(index) else { continue };
            let outgoing = Outgoing {
                partition: self.options.keep_partition.then_some(unit.batch.split().partition),
                key: record.key,
                value: record.value,
                timestamp_ms: record.timestamp_ms,
                headers: record.headers,
                tag: *tag,
            };
            match self.client.produce(&target.topic, &outgoing) {
                Err(fault) if fault.fatal => return Err(fault.into()),
                // The first failure spoils the transaction for the rest.
                Err(_) => break,
                Ok(()) => {}
            }
        }
        let failed = self
            .block(|client| {
                let done = writer::deliver(client);
                let failed = client.take_failed();
                if failed.is_empty() {
                    done.map_err(during("records can't be tried"))?;
                }
                Ok(failed)
            })
            .await?;
        self.abort().await?;
        Ok(failed.iter().map(|f| f.code).find(|code| of_record(*code)))
    }
}
