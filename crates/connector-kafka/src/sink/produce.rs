//! From a unit to records in the library's hands.

use std::time::Duration;

use connector::records::{Refused, Unit};
use connector::{Error, ErrorKind, Result};

use super::target::{self, Making, Target};
use super::{KafkaSink, round};
use crate::fault::{during, of_record};
use crate::raw::{Code, Outgoing};

/// Where the records of a unit go.
pub(super) enum Plan {
    Whole(Target),
    Each(Vec<Option<Target>>),
}

impl KafkaSink {
    /// Finds the topics of a unit, and makes the client anew where one takes smaller batches than it sends.
    pub(super) async fn plan(&mut self, index: usize, unit: &Unit) -> Result<Plan> {
        let split = unit.batch.split();
        if let Some(name) = self.routes.whole(split) {
            let name = name.into_owned();
            return Ok(Plan::Whole(self.target(&name, split.partition).await?));
        }
        let mut plan = Vec::with_capacity(unit.batch.len());
        for (i, record) in unit.batch.iter().enumerate() {
            if !self.open.wants(index, i) {
                plan.push(None);
                continue;
            }
            let name = match self.routes.single(i, &record) {
                Ok(name) => name.to_owned(),
                Err(refused) => {
                    self.open.refuse(index, refused);
                    plan.push(None);
                    continue;
                }
            };
            plan.push(Some(self.target(&name, split.partition).await?));
        }
        Ok(Plan::Each(plan))
    }

    pub(super) async fn target(&mut self, name: &str, partition: i32) -> Result<Target> {
        let least = if self.options.keep_partition { partition.saturating_add(1) } else { 1 };
        if let Some(target) = self.targets.get(name).filter(|t| t.rules.partitions >= least) {
            return Ok(target.clone());
        }
        let making = Making { allowed: self.options.create, partitions: self.options.create_partitions };
        let wanted = name.to_owned();
        let target = self.block(move |client| target::look_up(client, &wanted, making, least)).await?;
        if target.rules.partitions < least {
            let words = format!(
                "topic {name} has {} partitions, fewer than the source: partition {partition} can't be kept",
                target.rules.partitions
            );
            return Err(Error::new(ErrorKind::Unacceptable, words));
        }
        self.targets.insert(name, target.clone());
        Ok(target)
    }

    /// Gives a unit to the library, in the open transaction.
    pub(super) async fn take(&mut self, unit: Unit) -> Result<()> {
        let index = self.open.push(unit.clone());
        let mut plan = self.plan(index, &unit).await?;
        if self.targets.smallest().is_some_and(|max| max < self.batch) {
            // Rare: the first unit for a topic with a small bound.
            self.shrink().await?;
            plan = self.plan(index, &unit).await?;
        }
        self.begin()?;
        self.produce_unit(index, &unit, &plan).await
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        if self.transactional.is_some() && !self.begun {
            self.client.begin_transaction().map_err(during("a transaction can't be begun"))?;
            self.begun = true;
        }
        Ok(())
    }

    pub(super) async fn produce_unit(&mut self, index: usize, unit: &Unit, plan: &Plan) -> Result<()> {
        let (compressed, copies) = (self.compressed(), self.options.copies);
        let partition = self.options.keep_partition.then_some(unit.batch.split().partition);
        let checked = !self.open.refused.is_empty() || self.open.only.is_some();
        for (i, record) in unit.batch.iter().enumerate() {
            let target = match plan {
                Plan::Whole(target) => target,
                Plan::Each(all) => match all.get(i).and_then(Option::as_ref) {
                    Some(target) => target,
                    None => continue,
                },
            };
            if self.spoiled.is_some() {
                return Ok(());
            }
            if checked && !self.open.wants(index, i) {
                continue;
            }
            let weight = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            let weight = if record.headers.count_left() == 0 { weight } else { record.weight() as usize };
            if let Some(reason) = target::objection(&target.rules, weight, record.key.is_some(), compressed) {
                self.open.refuse(index, Refused { index: i, kind: ErrorKind::Unacceptable, reason });
                continue;
            }
            let outgoing = Outgoing {
                partition,
                key: record.key,
                value: record.value,
                timestamp_ms: record.timestamp_ms,
                headers: record.headers,
                tag: round::tag(index, i),
            };
            for _ in 0..copies {
                self.produce(target, &outgoing, index, i).await?;
            }
        }
        Ok(())
    }

    async fn produce(
        &mut self,
        target: &Target,
        outgoing: &Outgoing<'_>,
        unit: usize,
        record: usize,
    ) -> Result<()> {
        loop {
            let Err(fault) = self.client.produce(&target.topic, outgoing) else { return Ok(()) };
            if fault.code == Code::RD_KAFKA_RESP_ERR__QUEUE_FULL {
                self.client.poll(Duration::ZERO);
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
            if of_record(fault.code) {
                let refused = Refused { index: record, kind: ErrorKind::Unacceptable, reason: fault.text };
                self.open.refuse(unit, refused);
                return Ok(());
            }
            if fault.fatal || self.transactional.is_none() {
                return Err(during("a record can't be written")(self.client.explain(fault)));
            }
            // The transaction is over; its end will say so again.
            self.spoiled = Some(fault);
            return Ok(());
        }
    }
}
