//! The sink: records into bulks, bulks into slots, slots to the server.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use async_trait::async_trait;
use connector::records::{
    Context, Endpoint, Mark, RecordSink, Settled, SharedHost, Split, Ticket, Tray, Unit,
};
use connector::{Error, ErrorKind, Result};
use http_pool::{Pool, Remote, share};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::{ByteBudget, Lease, TaskKind, spawn_local};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::answer::FILTER;
use crate::bulk::Bulk;
use crate::config::Plan;
use crate::courier::{Courier, Delivered};
use crate::encode::{Encoder, Out};

/// A bulk being filled, and one on its way. Bulks of a slot go one after the other.
#[derive(Default)]
struct Slot {
    open: Bulk,
    flight: Option<JoinHandle<Delivered>>,
    /// The buffers of the last one.
    spare: Bulk,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(flight) = &self.flight {
            flight.abort();
        }
    }
}

/// See the essay of the crate.
pub(crate) struct ElasticSink {
    plan: Rc<Plan>,
    courier: Rc<Courier>,
    encoder: Encoder,
    host: SharedHost,
    tray: Tray,
    slots: Vec<Slot>,
    /// The slot that is being filled by documents that may go anywhere.
    current: usize,
    budget: ByteBudget,
    lease: Option<Lease>,
    /// A bulk is full with this much: as the plan says, or less where memory is short.
    bulk_bytes: usize,
}

/// Writes the actions of one record into slots.
struct Writer<'a> {
    slots: &'a mut [Slot],
    current: usize,
    /// The slot of the action that has begun, where it begins and its key.
    begun: (usize, usize, Option<u64>),
    ticket: Ticket,
    index: u32,
    actions: usize,
    /// A slot that is full now.
    full: Option<usize>,
    limits: (usize, usize),
}

impl Out for Writer<'_> {
    fn begin(&mut self, key: Option<u64>) -> &mut Vec<u8> {
        let slot = key.map_or(self.current, |k| (k % self.slots.len() as u64) as usize);
        let body = &mut self.slots[slot].open.body;
        self.begun = (slot, body.len(), key);
        body
    }

    fn end(&mut self) {
        let (slot, start, key) = self.begun;
        let open = &mut self.slots[slot].open;
        open.push(self.ticket, self.index, start, key);
        self.actions += 1;
        if open.body.len() >= self.limits.0 || open.items.len() >= self.limits.1 {
            self.full = Some(slot);
        }
    }
}

impl ElasticSink {
    pub(crate) fn new(remote: Remote, plan: Plan, context: &Context, host: SharedHost) -> Self {
        let path = match plan.only_index() {
            Some(index) => format!("/{}/_bulk?{FILTER}", escape(index)),
            None => format!("/_bulk?{FILTER}"),
        };
        let courier =
            Courier { pool: Pool::new(remote), path, gzip: plan.gzip, random: context.random.clone() };
        let plan = Rc::new(plan);
        Self {
            encoder: Encoder::new(&plan),
            courier: Rc::new(courier),
            host,
            tray: Tray::default(),
            slots: (0..plan.in_flight).map(|_| Slot::default()).collect(),
            current: 0,
            budget: context.budget.clone(),
            lease: None,
            bulk_bytes: plan.bulk_bytes,
            plan,
        }
    }

    /// Bulks that are in memory at most.
    fn bulks(&self) -> usize {
        // Slots that fill one after the other have one open bulk together; with ids of their own each has one.
        if self.plan.own_ids() { self.plan.in_flight * 2 } else { self.plan.in_flight + 1 }
    }

    /// Sends the open bulk of a slot, after the one that is on its way.
    async fn start(&mut self, slot: usize) -> Result<()> {
        while self.slots.get(slot).is_some_and(|s| s.flight.is_some()) {
            self.land_one().await?;
        }
        let Some(s) = self.slots.get_mut(slot).filter(|s| !s.open.is_empty()) else { return Ok(()) };
        let spare = std::mem::take(&mut s.spare);
        let sealed = std::mem::replace(&mut s.open, spare).seal();
        let courier = self.courier.clone();
        s.flight = Some(spawn_local(TaskKind::LaneWork, async move { courier.deliver(sealed).await }));
        // Documents that may go anywhere go on where nothing is on its way.
        let n = self.slots.len();
        let next = (1..=n).map(|k| (slot + k) % n);
        self.current = next.clone().find(|k| self.slots[*k].flight.is_none()).unwrap_or((slot + 1) % n);
        Ok(())
    }

    /// Waits for one of the bulks on their way.
    async fn land_one(&mut self) -> Result<()> {
        let landed = poll_fn(|cx| {
            let mut flying = false;
            for (n, slot) in self.slots.iter_mut().enumerate() {
                let Some(flight) = &mut slot.flight else { continue };
                flying = true;
                if let Poll::Ready(done) = Pin::new(flight).poll(cx) {
                    return Poll::Ready(Some((n, done)));
                }
            }
            if flying { Poll::Pending } else { Poll::Ready(None) }
        });
        let Some((slot, done)) = landed.await else { return Ok(()) };
        self.slots[slot].flight = None;
        let done = done
            .map_err(|e| Error::new(ErrorKind::Other, format!("a bulk was not brought to its end: {e}")))?;
        self.book(slot, done).await
    }

    async fn book(&mut self, slot: usize, done: Delivered) -> Result<()> {
        done.result?;
        for (item, reason) in done.refused {
            if let Some(i) = done.bulk.items.get(item) {
                self.tray.refuse(i.ticket, i.index as usize, ErrorKind::Unacceptable, reason);
            }
        }
        for run in done.bulk.items.chunk_by(|a, b| a.ticket == b.ticket) {
            if let Some(first) = run.first() {
                self.tray.done(first.ticket, run.len());
            }
        }
        self.slots[slot].spare = done.bulk.recycle();
        self.tray.settle(&self.host).await
    }

    /// Books what has ended already, without waiting.
    async fn land_ended(&mut self) -> Result<()> {
        while self.slots.iter().any(|s| s.flight.as_ref().is_some_and(JoinHandle::is_finished)) {
            self.land_one().await?;
        }
        Ok(())
    }

    /// One record into the open bulks. Returns the number of its actions and a slot that is full.
    fn add(&mut self, unit: &Unit, index: usize, ticket: Ticket) -> (usize, Option<usize>) {
        let Some(record) = unit.batch.get(index) else { return (0, None) };
        let mut writer = Writer {
            slots: &mut self.slots,
            current: self.current,
            begun: (0, 0, None),
            ticket,
            index: index as u32,
            actions: 0,
            full: None,
            limits: (self.bulk_bytes, self.plan.bulk_records),
        };
        match self.encoder.encode(&record, &mut writer) {
            Ok(()) => (writer.actions, writer.full),
            Err(refusal) => {
                self.tray.refuse(ticket, index, refusal.kind, refusal.reason);
                (0, None)
            }
        }
    }
}

/// The name of an index in a path.
pub(crate) fn escape(index: &str) -> String {
    utf8_percent_encode(index, NON_ALPHANUMERIC).to_string()
}

#[async_trait(?Send)]
impl RecordSink for ElasticSink {
    fn describe(&self) -> String {
        let address = &self.courier.pool.remote().address;
        let scheme = if address.secure { "https" } else { "http" };
        let index = self.plan.only_index().unwrap_or("…");
        format!("elasticsearch {scheme}://{}{}/{index}", address.authority, address.path)
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        Ok(vec![None; known.len()])
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        if self.lease.is_none() {
            let (bytes, lease) = share(&self.budget, self.plan.bulk_bytes, self.bulks()).await;
            self.bulk_bytes = bytes;
            self.lease = Some(lease);
        }
        self.tray.open(splits);
        Ok(())
    }

    async fn close(&mut self, splits: &[Split]) {
        self.tray.close(splits);
        // The next owner may be writing already: what is not on its way does not go.
        for slot in &mut self.slots {
            slot.open.retain(|item| self.tray.unit(item.ticket).is_some());
        }
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        self.land_ended().await?;
        self.encoder.turn_to(unit.batch.split());
        let ticket = self.tray.take(unit.clone());
        let mut pieces = 0;
        for index in 0..unit.batch.len() {
            let (actions, full) = self.add(&unit, index, ticket);
            pieces += actions;
            if let Some(slot) = full {
                self.tray.add(ticket, std::mem::take(&mut pieces));
                self.start(slot).await?;
            }
        }
        self.tray.add(ticket, pieces);
        self.tray.seal(ticket);
        self.tray.settle(&self.host).await
    }

    async fn tick(&mut self) -> Result<()> {
        self.land_ended().await?;
        let now = Instant::now();
        for slot in 0..self.slots.len() {
            let s = &self.slots[slot];
            let due = s.open.since.is_some_and(|t| now.duration_since(t) >= self.plan.linger);
            if due && s.flight.is_none() {
                self.start(slot).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        for slot in 0..self.slots.len() {
            self.start(slot).await?;
        }
        while self.slots.iter().any(|s| s.flight.is_some()) {
            self.land_one().await?;
        }
        self.tray.settle(&self.host).await
    }

    fn settled(&mut self) -> Vec<Settled> {
        self.tray.settled()
    }
}

/// See [`crate::sink`].
pub(crate) fn build(endpoint: &Endpoint, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
    let (remote, plan) = crate::config::read(endpoint)?;
    Ok(Box::new(ElasticSink::new(remote, plan, context, host)))
}
