//! The sink: gathers units and commits them, rows and positions together.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{
    Account, Books, Context, Endpoint, Mark, RecordSink, Refused, Settled, SharedHost, Split, Unit,
};
use connector::{Error, ErrorKind, Result};

use crate::catalogue::Table;
use crate::fault::Trouble;
use crate::link::Link;
use crate::options::{self, Connection, Engine, Plan};
use crate::position::{Positions, lost};
use crate::rows::{self, Op, Reject, Shaper};

/// Records in a transaction, about.
const MOST_RECORDS: usize = 4000;
/// Bytes in a transaction, about.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// A unit waits no longer than this for others.
const LINGER_US: i64 = 200_000;
/// Times that a transaction is run again after a deadlock or a lost connection.
const RETRIES: u32 = 6;
/// The catalogue is not read again sooner than this because of an unknown key.
const RELOAD_US: i64 = 5_000_000;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long [`probe`] takes at most.
const PROBE: Duration = Duration::from_secs(5);

/// Can the server be reached with these words, and is the table there?
///
/// # Errors
/// `NotFound`, `Denied`, `Unavailable`, `Unacceptable` bad options or a table that can't be written exactly.
pub async fn probe(endpoint: &Endpoint) -> Result<()> {
    let (connection, plan) = options::read(endpoint)?;
    let asking = async {
        let mut link = Link::connect(&connection, &plan.database, PROBE).await?;
        link.table(&plan).await.map(drop)
    };
    match tokio::time::timeout(PROBE, asking).await {
        Ok(done) => done.map_err(Trouble::into_error),
        Err(_) => Err(Error::new(ErrorKind::Unavailable, "the server gave no answer within 5 s")),
    }
}

/// A sink that writes rows.
///
/// # Errors
/// `Unacceptable` bad options.
pub fn sink(endpoint: &Endpoint, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
    let (connection, plan) = options::read(endpoint)?;
    Ok(Box::new(SqlSink {
        owner: context.random.hex(16),
        context: context.clone(),
        connection,
        plan: Rc::new(plan),
        host,
        link: None,
        table: None,
        seats: HashMap::new(),
        books: Books::default(),
        pending: Pending::default(),
        settled: HashMap::new(),
    }))
}

#[derive(Default)]
struct Pending {
    units: Vec<Unit>,
    records: usize,
    bytes: u64,
    since_us: i64,
}

/// A table of the catalogue and when it was read.
#[derive(Clone)]
struct Known {
    table: Rc<Table>,
    positions: Rc<Positions>,
    read_us: i64,
}

struct SqlSink {
    context: Context,
    connection: Connection,
    plan: Rc<Plan>,
    host: SharedHost,
    owner: String,
    link: Option<Link>,
    table: Option<Known>,
    /// The position in each split's row.
    seats: HashMap<Split, i64>,
    books: Books,
    pending: Pending,
    settled: HashMap<Split, Mark>,
}

/// Marks that a transaction leads to, with the position before.
type Steps = Vec<(Split, i64, Mark)>;

/// A record that has rows.
struct Parsed<'a> {
    unit: usize,
    index: usize,
    ops: Vec<Op<'a>>,
}

/// What became of a transaction's records before the server saw them.
struct Sorted<'a> {
    records: Vec<Parsed<'a>>,
    refused: Vec<Vec<Refused>>,
    /// Items and bytes for each unit.
    skipped: Vec<(u64, u64)>,
    /// A key had no column.
    unknown: bool,
    shapes: Vec<Vec<usize>>,
}

impl SqlSink {
    async fn connect(&mut self) -> Result<Link, Trouble> {
        match self.link.take() {
            Some(link) => Ok(link),
            None => Link::connect(&self.connection, &self.plan.database, CONNECT).await,
        }
    }

    /// The table, from the catalogue unless it is known and not older than `since_us`.
    async fn known(&mut self, link: &mut Link, since_us: i64) -> Result<Known, Trouble> {
        match &self.table {
            Some(known) if known.read_us >= since_us => Ok(known.clone()),
            _ => {
                let table = link.table(&self.plan).await?;
                let positions =
                    Positions::new(link.engine(), &table.schema, &self.context.pipeline, &self.owner);
                let read_us = self.context.clock.now().0;
                let known = Known { table: Rc::new(table), positions: Rc::new(positions), read_us };
                self.table = Some(known.clone());
                Ok(known)
            }
        }
    }

    async fn claim(&mut self, wanted: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>, Trouble> {
        let mut link = self.connect().await?;
        let known = self.known(&mut link, i64::MIN).await?;
        known.positions.create(&mut link).await?;
        // Everybody locks rows in the same order.
        let mut order: Vec<_> = (0..wanted.len()).collect();
        order.sort_by_key(|i| wanted.get(*i).map(|(s, _)| s));
        let mut marks = vec![None; wanted.len()];
        let mut seats = Vec::with_capacity(wanted.len());
        link.run("BEGIN").await?;
        for i in order {
            let (Some((split, mark)), Some(slot)) = (wanted.get(i), marks.get_mut(i)) else { continue };
            let (next, best) = known.positions.claim(&mut link, split, *mark).await?;
            seats.push((split.clone(), next));
            *slot = best;
        }
        link.run("COMMIT").await?;
        self.seats.extend(seats);
        self.link = Some(link);
        Ok(marks)
    }

    /// Commits what is pending, and again where that may help.
    async fn commit(&mut self) -> Result<()> {
        if self.pending.units.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        // What is built of the units is as large as they are; it is not waited for, since the units are held meanwhile.
        let lease = self.context.budget.lease(pending.bytes);
        let _lease = tokio::time::timeout(Duration::ZERO, lease).await.ok();
        let (mut doubt, mut reloaded, mut tries) = (None, false, 0);
        loop {
            let trouble = match self.attempt(&pending.units, &mut doubt).await {
                Ok(steps) => {
                    for (split, _, mark) in steps {
                        self.books.settle(&split, mark);
                        self.seats.insert(split.clone(), mark.next);
                        self.settled.insert(split, mark);
                    }
                    return Ok(());
                }
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Schema(_) if !reloaded => {
                    (reloaded, self.table) = (true, None);
                    continue;
                }
                Trouble::Again(e) | Trouble::Broken(e) if tries < RETRIES => {
                    tracing::debug!(error = %e, tries, "the transaction is run again");
                }
                other => return Err(other.into_error()),
            }
            let [jitter] = self.context.random.bytes::<1>();
            let pause = (50_u64 << tries) + u64::from(jitter);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            tries += 1;
        }
    }

    /// One transaction. The connection is kept only when all went well.
    async fn attempt(&mut self, units: &[Unit], doubt: &mut Option<Steps>) -> Result<Steps, Trouble> {
        let mut link = self.connect().await?;
        if let Some(steps) = doubt.clone()
            && self.has_landed(&mut link, &steps).await?
        {
            self.link = Some(link);
            return Ok(steps);
        }
        *doubt = None;
        let plan = self.plan.clone();
        let (read, again);
        read = self.known(&mut link, i64::MIN).await?;
        let first = sort(&plan, link.engine(), units, &read.table);
        let (known, mut sorted) = if first.unknown {
            drop(first);
            let fresh = self.context.clock.now().0 - RELOAD_US;
            again = self.known(&mut link, fresh).await?;
            (&again, sort(&plan, link.engine(), units, &again.table))
        } else {
            (&read, first)
        };
        let begin = match link.engine() {
            Engine::Postgres => "BEGIN; SET CONSTRAINTS ALL IMMEDIATE",
            Engine::MySql => "BEGIN",
        };
        link.run(begin).await?;
        let write = Write { table: &known.table, shapes: &sorted.shapes, upsert: self.plan.upsert };
        match write.all(&mut link, &sorted.records).await {
            Err(Trouble::Record(_)) => {
                link.run("ROLLBACK").await?;
                link.run(begin).await?;
                for (record, why) in write.find(&mut link, &sorted.records).await? {
                    let refused = refused(record.index, why);
                    if let Some(list) = sorted.refused.get_mut(record.unit) {
                        list.push(refused);
                    }
                }
            }
            done => done?,
        }
        if sorted.refused.iter().any(|r| !r.is_empty()) {
            // To an older owner the newer one's rows are duplicates: nothing may be ruled on before it is certain who we are.
            self.hold(&mut link, &known.positions, units).await?;
        }
        let steps = self.rule(units, &sorted).await?;
        for (split, from, mark) in &steps {
            known.positions.advance(&mut link, split, *from, *mark).await?;
        }
        *doubt = Some(steps.clone());
        link.run("COMMIT").await?;
        self.link = Some(link);
        Ok(steps)
    }

    /// Locks the rows of these units' splits, if they are still ours and where we left them.
    async fn hold(&self, link: &mut Link, positions: &Positions, units: &[Unit]) -> Result<(), Trouble> {
        // Everybody locks rows in the same order.
        let splits: BTreeSet<_> = units.iter().map(|u| u.batch.split()).collect();
        for split in splits {
            let seat = positions.look(link, split).await?;
            if !seat.is_some_and(|s| s.ours && self.seats.get(split) == Some(&s.next)) {
                return Err(lost(split));
            }
        }
        Ok(())
    }

    /// Did a transaction whose end is not known happen? Its rows are locked for the look, so it has ended.
    async fn has_landed(&mut self, link: &mut Link, steps: &Steps) -> Result<bool, Trouble> {
        let known = self.known(link, i64::MIN).await?;
        let mut landed = 0;
        link.run("BEGIN").await?;
        for (split, from, mark) in steps {
            match known.positions.look(link, split).await? {
                Some(seat) if seat.ours && seat.mark == Some(*mark) => landed += 1,
                Some(seat) if seat.ours && seat.next == *from => {}
                _ => return Err(lost(split)),
            }
        }
        link.run("ROLLBACK").await?;
        Ok(landed == steps.len())
    }

    /// Has the host rule on what is refused, and makes the marks.
    async fn rule(&self, units: &[Unit], sorted: &Sorted<'_>) -> Result<Steps, Trouble> {
        let mut books = Books::default();
        let mut steps: Steps = Vec::new();
        for (unit, (refused, skipped)) in units.iter().zip(sorted.refused.iter().zip(&sorted.skipped)) {
            let split = unit.batch.split();
            let mut indexes: Vec<_> = refused.iter().map(|r| r.index).collect();
            indexes.sort_unstable();
            let mut account = if refused.is_empty() {
                unit.all_written()
            } else {
                let ruling = self.host.refuse(unit, refused.clone()).await?;
                unit.written_but(&indexes, ruling)
            };
            for (column, part) in [(&mut account.items, skipped.0), (&mut account.bytes, skipped.1)] {
                column[Account::WRITTEN] = column[Account::WRITTEN].saturating_sub(part);
                column[Account::SKIPPED] += part;
            }
            if books.mark(split).is_none() {
                books.open(split.clone(), self.books.mark(split).unwrap_or_default());
            }
            let mark = books.after(unit, &account);
            books.settle(split, mark);
            match steps.iter_mut().find(|(s, ..)| s == split) {
                Some((.., last)) => *last = mark,
                None => {
                    let from = self.seats.get(split).copied().ok_or_else(|| not_open(split))?;
                    steps.push((split.clone(), from, mark));
                }
            }
        }
        // Everybody locks rows in the same order.
        steps.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(steps)
    }
}

/// Makes rows of the records; tells apart what can't be taken and what concerns no rows.
fn sort<'a>(plan: &'a Plan, engine: Engine, units: &'a [Unit], table: &'a Table) -> Sorted<'a> {
    let mut shaper = Shaper::new(table, plan, engine);
    let mut sorted = Sorted {
        records: Vec::with_capacity(units.iter().map(|u| u.batch.len()).sum()),
        refused: Vec::with_capacity(units.len()),
        skipped: Vec::with_capacity(units.len()),
        unknown: false,
        shapes: Vec::new(),
    };
    for (unit, u) in units.iter().enumerate() {
        let (mut refusals, mut skipped) = (Vec::new(), (0, 0));
        for (index, record) in u.batch.iter().enumerate() {
            match shaper.rows(&record) {
                Ok(ops) => sorted.records.push(Parsed { unit, index, ops }),
                Err(Reject::Skip) => {
                    skipped.0 += 1;
                    skipped.1 += u.weight(index);
                }
                Err(Reject::Unknown(why)) => {
                    sorted.unknown = true;
                    refusals.push(refused(index, why));
                }
                Err(Reject::Refuse(why)) => refusals.push(refused(index, why)),
            }
        }
        sorted.refused.push(refusals);
        sorted.skipped.push(skipped);
    }
    sorted.shapes = shaper.shapes;
    sorted
}

fn refused(index: usize, reason: String) -> Refused {
    Refused { index, kind: ErrorKind::Unacceptable, reason }
}

fn not_open(split: &Split) -> Error {
    Error::new(ErrorKind::Other, format!("{split} was not opened"))
}

/// Writes records within a transaction.
struct Write<'w> {
    table: &'w Table,
    shapes: &'w [Vec<usize>],
    upsert: bool,
}

/// Records of a first guess when a bad one is looked for.
const GUESS: usize = 512;

impl Write<'_> {
    async fn all(&self, link: &mut Link, records: &[Parsed<'_>]) -> Result<(), Trouble> {
        for group in rows::group(records.iter().flat_map(|r| &r.ops)) {
            let Some(shape) = self.shapes.get(group.shape) else { continue };
            link.apply(self.table, shape, &group, self.upsert).await?;
        }
        Ok(())
    }

    /// Writes the good ones and returns the bad ones, found by halves, each half behind a savepoint.
    async fn find<'r, 'a>(
        &self,
        link: &mut Link,
        records: &'r [Parsed<'a>],
    ) -> Result<Vec<(&'r Parsed<'a>, String)>, Trouble> {
        let mut bad = Vec::new();
        let mut todo: Vec<&[Parsed<'a>]> = records.chunks(GUESS).collect();
        todo.reverse();
        while let Some(part) = todo.pop() {
            link.run("SAVEPOINT wharf").await?;
            match self.all(link, part).await {
                Ok(()) => link.run("RELEASE SAVEPOINT wharf").await?,
                Err(Trouble::Record(why)) => {
                    link.run("ROLLBACK TO SAVEPOINT wharf").await?;
                    match part {
                        [one] => bad.push((one, why)),
                        many => {
                            let (first, second) = many.split_at(many.len() / 2);
                            todo.push(second);
                            todo.push(first);
                        }
                    }
                }
                Err(other) => return Err(other),
            }
        }
        Ok(bad)
    }
}

#[async_trait(?Send)]
impl RecordSink for SqlSink {
    fn describe(&self) -> String {
        let name = match self.connection.engine {
            Engine::Postgres => "postgresql",
            Engine::MySql => "mysql",
        };
        let (c, p) = (&self.connection, &self.plan);
        format!("{name} {}:{}/{}/{}", c.host, c.port, p.database, p.table)
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        let mut tries = 0;
        loop {
            match self.claim(known).await {
                Ok(marks) => return Ok(marks),
                Err(Trouble::Again(_) | Trouble::Broken(_)) if tries < 3 => {}
                Err(trouble) => return Err(trouble.into_error()),
            }
            tokio::time::sleep(Duration::from_millis(100 << tries)).await;
            tries += 1;
        }
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        let new: Vec<_> = splits
            .iter()
            .filter(|(s, _)| !self.seats.contains_key(s))
            .map(|(s, m)| (s.clone(), Some(*m)))
            .collect();
        if !new.is_empty() {
            self.committed(&new).await?;
        }
        for (split, mark) in splits {
            self.books.open(split.clone(), *mark);
        }
        Ok(())
    }

    async fn close(&mut self, splits: &[Split]) {
        self.pending.units.retain(|u| !splits.contains(u.batch.split()));
        for split in splits {
            self.seats.remove(split);
            self.settled.remove(split);
            self.books.close(split);
        }
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        if self.books.mark(unit.batch.split()).is_none() {
            return Err(not_open(unit.batch.split()));
        }
        let p = &mut self.pending;
        if p.units.is_empty() {
            p.since_us = self.context.clock.now().0;
        }
        p.records += unit.batch.len();
        p.bytes += unit.batch.held();
        p.units.push(unit);
        if p.records >= MOST_RECORDS || p.bytes >= MOST_BYTES {
            self.commit().await?;
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        let waited = self.context.clock.now().0 - self.pending.since_us;
        // The clock may have been set back.
        if (0..LINGER_US).contains(&waited) { Ok(()) } else { self.commit().await }
    }

    async fn flush(&mut self) -> Result<()> {
        self.commit().await
    }

    fn settled(&mut self) -> Vec<Settled> {
        self.settled.drain().map(|(split, mark)| Settled { split, mark }).collect()
    }
}
