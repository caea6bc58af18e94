//! The contract of [`RecordSink`] as a program: what every sink has to do, checked against a real destination.
//!
//! A connector's test says how its destination is reached ([`Subject`]) and calls [`run`]. Each scenario has a topic of its own, so that
//! one can also be called alone. A failure is a sentence that says what was promised and what happened; nothing here panics. What a
//! destination can't do is declared in a [`Profile`], never guessed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Account, Batch, BatchBuilder, Headers, Host, Mark, RecordRef, RecordSink, Refused, Ruling, SharedHost,
    Split, Unit,
};
use crate::{Error, ErrorKind, Result};

/// What a sink's destination can do.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Marks are kept in the destination's own atomic unit.
    pub keeps_marks: bool,
    /// The same record written twice is one.
    pub idempotent: bool,
    /// [`Subject::values`] gives the values of a split in the order in which they became visible.
    pub ordered: bool,
}

/// A destination under test.
#[async_trait(?Send)]
pub trait Subject {
    /// A new sink over the same destination, as a new lane would make it after a crash.
    async fn sink(&self, host: SharedHost) -> Result<Box<dyn RecordSink>>;

    /// The value of a record; different for each `n`.
    fn value(&self, n: usize) -> Vec<u8>;

    /// A value that the destination refuses; `None` where it refuses nothing.
    fn refused(&self) -> Option<Vec<u8>>;

    /// The values of records with this topic and partition that can be seen at the destination now, as [`Subject::value`] made them.
    async fn values(&self, split: &Split) -> Result<Vec<Vec<u8>>>;
}

/// The outcome of a scenario: `Err` says which promise was broken and how.
pub type Verdict = std::result::Result<(), String>;

macro_rules! ensure {
    ($cond:expr, $($words:tt)+) => {
        if !$cond {
            return Err(format!($($words)+));
        }
    };
}

/// Runs every scenario. `name` makes topics that this destination has never seen.
///
/// # Errors
/// The first promise that is broken, with the scenario's name.
pub async fn run(subject: &dyn Subject, profile: Profile, name: &str) -> Verdict {
    let said = |scenario: &'static str| move |why: String| format!("{scenario}: {why}");
    let topic = |n: u32| format!("{name}-{n}");
    settles_in_order(subject, profile, &topic(1)).await.map_err(said("settles in order"))?;
    goes_on_after_flush(subject, profile, &topic(2)).await.map_err(said("goes on after a flush"))?;
    survives_a_drop(subject, profile, &topic(3)).await.map_err(said("survives a drop"))?;
    moves_without_records(subject, profile, &topic(4)).await.map_err(said("moves without records"))?;
    forgets_what_is_closed(subject, profile, &topic(5)).await.map_err(said("forgets what is closed"))?;
    asks_before_it_settles(subject, profile, &topic(6)).await.map_err(said("asks before it settles"))?;
    stops_where_it_must_not_go_on(subject, profile, &topic(7)).await.map_err(said("stops where it must"))
}

/// Two splits in turn: marks grow, balance and reach the end; everything is there, in order where there is one.
///
/// # Errors
/// The broken promise.
pub async fn settles_in_order(subject: &dyn Subject, profile: Profile, topic: &str) -> Verdict {
    let splits = [Split::new(topic, 0), Split::new(topic, 1)];
    let mut hand = Hand::new(subject).await?;
    let opened = hand.open(&splits).await?;
    ensure!(opened.iter().all(Option::is_none), "a fresh split has a mark already");
    for n in 0..10 {
        for split in &splits {
            hand.write(as_read(split, n * 10, values(subject, n * 10, 7)), "write").await?;
        }
        during("tick", hand.sink.tick().await)?;
        hand.collect()?;
    }
    hand.flush().await?;
    for split in &splits {
        hand.ensure_at(split, 97)?;
        let wanted: Vec<_> = (0..10).flat_map(|n| values(subject, n * 10, 7)).collect();
        compare(subject, profile, split, wanted).await?;
        let account = hand.account(split);
        ensure!(
            account.items[Account::READ] == 70,
            "{split}: 70 records were read, the account says {account:?}"
        );
        let done = account.items[Account::WRITTEN] + account.items[Account::UNCHANGED];
        ensure!(done == 70, "{split}: 70 records were written, the account says {account:?}");
    }
    Ok(())
}

/// What a flush made durable is known to the next sink, position and account, and is not there twice when it goes on.
///
/// # Errors
/// The broken promise.
pub async fn goes_on_after_flush(subject: &dyn Subject, profile: Profile, topic: &str) -> Verdict {
    let split = Split::new(topic, 0);
    let mut first = Hand::new(subject).await?;
    first.open(std::slice::from_ref(&split)).await?;
    first.write(as_read(&split, 0, values(subject, 0, 5)), "write").await?;
    first.flush().await?;
    let settled = first.ensure_at(&split, 5)?;
    drop(first);
    let mut second = Hand::new(subject).await?;
    second.marks.insert(split.clone(), settled);
    let theirs = second.open(std::slice::from_ref(&split)).await?;
    let theirs = theirs.into_iter().next().flatten();
    if profile.keeps_marks {
        ensure!(theirs == Some(settled), "settled was {settled:?}, the next sink reads {theirs:?}");
    }
    second.write(as_read(&split, 5, values(subject, 5, 5)), "write").await?;
    second.flush().await?;
    second.ensure_at(&split, 10)?;
    compare(subject, profile, &split, values(subject, 0, 10)).await
}

/// A sink is dropped with units under way; the next one goes on from what is committed.
///
/// # Errors
/// The broken promise.
pub async fn survives_a_drop(subject: &dyn Subject, profile: Profile, topic: &str) -> Verdict {
    let split = Split::new(topic, 0);
    let mut known = Mark::default();
    for crash in 0..4 {
        let mut hand = Hand::new(subject).await?;
        if !profile.keeps_marks {
            hand.marks.insert(split.clone(), known);
        }
        // Where the sink keeps marks, the journal is as far behind as it can be.
        hand.open(std::slice::from_ref(&split)).await?;
        let from = hand.marks.get(&split).map_or(0, |m| m.next);
        for at in from..from + 6 {
            let n = usize::try_from(at).unwrap_or(0);
            hand.write(as_read(&split, n, values(subject, n, 1)), "write").await?;
            if crash == 1 {
                during("tick", hand.sink.tick().await)?;
            }
        }
        if crash == 3 {
            hand.flush().await?;
        } else {
            hand.collect()?;
        }
        known = hand.marks.get(&split).copied().unwrap_or_default();
    }
    let end = usize::try_from(known.next).unwrap_or(0);
    ensure!(end >= 6, "a flush settled only up to {end}");
    let account = known.account.items;
    ensure!(account[Account::READ] == end as u64, "up to {end} the account says {account:?}");
    let found = during("look", subject.values(&split).await)?;
    let once = profile.keeps_marks || profile.idempotent;
    let mut wanted = values(subject, 0, end);
    for value in found {
        match wanted.iter().position(|v| *v == value) {
            Some(at) => drop(wanted.swap_remove(at)),
            None => ensure!(!once, "a record is there twice, or beyond what is settled"),
        }
    }
    ensure!(wanted.is_empty(), "{} settled records are not there", wanted.len());
    Ok(())
}

/// A unit without records moves the position, and carries what was booked before.
///
/// # Errors
/// The broken promise.
pub async fn moves_without_records(subject: &dyn Subject, _: Profile, topic: &str) -> Verdict {
    let split = Split::new(topic, 0);
    let mut hand = Hand::new(subject).await?;
    hand.open(std::slice::from_ref(&split)).await?;
    let mut before = Account::default();
    before.add(Account::READ, 3, 30);
    before.add(Account::FILTERED, 3, 30);
    let batch = Arc::new(BatchBuilder::new(split.clone(), 0).finish(3));
    hand.write(Unit { batch, before, weights: Some(Vec::new().into()) }, "write nothing").await?;
    hand.flush().await?;
    let mark = hand.ensure_at(&split, 3)?;
    ensure!(mark.account == before, "what was filtered is not in the account: {:?}", mark.account);
    Ok(())
}

/// A split that is closed without a flush is not heard of any more; its neighbour goes on.
///
/// # Errors
/// The broken promise.
pub async fn forgets_what_is_closed(subject: &dyn Subject, profile: Profile, topic: &str) -> Verdict {
    let splits = [Split::new(topic, 0), Split::new(topic, 1)];
    let mut hand = Hand::new(subject).await?;
    hand.open(&splits).await?;
    for split in &splits {
        hand.write(as_read(split, 0, values(subject, 0, 3)), "write").await?;
    }
    let [gone, stays] = &splits;
    hand.sink.close(std::slice::from_ref(gone)).await;
    hand.marks.remove(gone);
    hand.flush().await?;
    ensure!(!hand.marks.contains_key(gone), "{gone} was closed and is settled later");
    hand.ensure_at(stays, 3)?;
    compare(subject, profile, stays, values(subject, 0, 3)).await
}

/// Refused records are ruled on before their position is settled; their neighbours are written.
///
/// # Errors
/// The broken promise.
pub async fn asks_before_it_settles(subject: &dyn Subject, profile: Profile, topic: &str) -> Verdict {
    let Some(bad) = subject.refused() else { return Ok(()) };
    let split = Split::new(topic, 0);
    let mut hand = Hand::new(subject).await?;
    ensure!(hand.sink.may_refuse(), "it refuses records, and says that it does not");
    hand.open(std::slice::from_ref(&split)).await?;
    let mut all = values(subject, 0, 9);
    for at in [0, 4, 8] {
        all[at].clone_from(&bad);
    }
    hand.write(as_read(&split, 0, all), "write").await?;
    hand.flush().await?;
    let mark = hand.ensure_at(&split, 9)?;
    let mut asked = hand.judge.asked.borrow().clone();
    asked.sort_unstable();
    asked.dedup();
    ensure!(asked == [0, 4, 8], "refused are 0, 4 and 8; the host was asked about {asked:?}");
    let items = mark.account.items;
    ensure!(items[Account::DEAD] == 3, "three records were kept aside, the account says {items:?}");
    let good = (0..9).filter(|n| ![0, 4, 8].contains(n)).map(|n| subject.value(n)).collect();
    compare(subject, profile, &split, good).await
}

/// A host that does not allow to go on ends the sink's run; the record's position is not settled, and the next sink meets it again.
///
/// # Errors
/// The broken promise.
pub async fn stops_where_it_must_not_go_on(subject: &dyn Subject, profile: Profile, topic: &str) -> Verdict {
    let Some(bad) = subject.refused() else { return Ok(()) };
    let split = Split::new(topic, 0);
    let unit = |bad: &[u8]| as_read(&split, 0, vec![subject.value(0), bad.to_vec(), subject.value(2)]);
    let mut hand = Hand::new(subject).await?;
    hand.judge.blocks.set(true);
    hand.open(std::slice::from_ref(&split)).await?;
    let written = hand.sink.write(unit(&bad)).await;
    let ended = match written {
        Ok(()) => hand.sink.flush().await,
        Err(e) => Err(e),
    };
    let Err(e) = ended else { return Err("the host said no, and the sink went on".to_owned()) };
    ensure!(e.to_string().contains(BLOCKED), "the host's words are lost: {e}");
    hand.collect()?;
    let at = hand.marks.get(&split).map_or(0, |m| m.next);
    ensure!(at <= 1, "the host said no to position 1, and {at} is settled");
    drop(hand);
    let mut hand = Hand::new(subject).await?;
    hand.open(std::slice::from_ref(&split)).await?;
    let at = hand.marks.get(&split).map_or(0, |m| m.next);
    ensure!(at == 0, "nothing of the unit was settled, and {at} is committed");
    hand.write(unit(&bad), "write again").await?;
    hand.flush().await?;
    hand.ensure_at(&split, 3)?;
    if profile.keeps_marks || profile.idempotent {
        compare(subject, profile, &split, vec![subject.value(0), subject.value(2)]).await?;
    }
    Ok(())
}

/// What a blocking host says.
const BLOCKED: &str = "the task does not allow it";

/// A host that keeps everything, or blocks.
#[derive(Default)]
struct Judge {
    blocks: Cell<bool>,
    asked: RefCell<Vec<i64>>,
}

#[async_trait(?Send)]
impl Host for Judge {
    async fn refuse(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
        if self.blocks.get() {
            return Err(Error::new(ErrorKind::Unacceptable, BLOCKED));
        }
        for r in refused {
            let unknown = || Error::new(ErrorKind::Other, "a record was refused that is not in its unit");
            self.asked.borrow_mut().push(unit.batch.get(r.index).ok_or_else(unknown)?.offset);
        }
        Ok(Ruling::Kept)
    }
}

/// A sink in the hand of a lane that checks what it says.
struct Hand {
    sink: Box<dyn RecordSink>,
    judge: Rc<Judge>,
    /// Newest marks.
    marks: HashMap<Split, Mark>,
}

impl Hand {
    async fn new(subject: &dyn Subject) -> std::result::Result<Self, String> {
        let judge = Rc::new(Judge::default());
        let sink = during("make a sink", subject.sink(judge.clone() as SharedHost).await)?;
        Ok(Self { sink, judge, marks: HashMap::new() })
    }

    /// Asks and opens, as a lane does. Returns what the sink itself knows.
    async fn open(&mut self, splits: &[Split]) -> std::result::Result<Vec<Option<Mark>>, String> {
        let known: Vec<_> = splits.iter().map(|s| (s.clone(), self.marks.get(s).copied())).collect();
        let theirs = during("committed", self.sink.committed(&known).await)?;
        if theirs.len() != known.len() {
            return Err(format!("asked for {} splits, answered for {}", known.len(), theirs.len()));
        }
        let mut open = Vec::new();
        for ((split, ours), theirs) in known.into_iter().zip(&theirs) {
            let newest = match (ours, *theirs) {
                (Some(ours), Some(theirs)) if ours.next > theirs.next => Some(ours),
                (ours, theirs) => theirs.or(ours),
            };
            let mark = newest.unwrap_or_default();
            self.marks.insert(split.clone(), mark);
            open.push((split, mark));
        }
        during("open", self.sink.open(&open).await)?;
        Ok(theirs)
    }

    async fn write(&mut self, unit: Unit, what: &str) -> Verdict {
        during(what, self.sink.write(unit).await)?;
        self.collect()
    }

    async fn flush(&mut self) -> Verdict {
        during("flush", self.sink.flush().await)?;
        self.collect()
    }

    fn collect(&mut self) -> Verdict {
        let mut seen = Vec::new();
        for s in self.sink.settled() {
            ensure!(!seen.contains(&s.split), "{} is settled twice in one answer", s.split);
            let before = self.marks.insert(s.split.clone(), s.mark).unwrap_or_default();
            ensure!(s.mark.next >= before.next, "{} moved back: {before:?}, {:?}", s.split, s.mark);
            let (items, bytes) = (s.mark.account.items, s.mark.account.bytes);
            for c in [items, bytes] {
                let (read, settled) = c.split_at(2);
                let even = read.iter().sum::<u64>() == settled.iter().sum::<u64>();
                ensure!(even, "the account of {} does not balance: {:?}", s.split, s.mark.account);
            }
            seen.push(s.split);
        }
        Ok(())
    }

    fn ensure_at(&self, split: &Split, next: i64) -> std::result::Result<Mark, String> {
        match self.marks.get(split) {
            Some(mark) if mark.next == next => Ok(*mark),
            other => Err(format!("{split} should be settled up to {next} and is at {other:?}")),
        }
    }

    fn account(&self, split: &Split) -> Account {
        self.marks.get(split).copied().unwrap_or_default().account
    }
}

fn during<T>(what: &str, done: Result<T>) -> std::result::Result<T, String> {
    done.map_err(|e| format!("{what}: {e} ({})", e.kind().name()))
}

fn values(subject: &dyn Subject, from: usize, n: usize) -> Vec<Vec<u8>> {
    (from..from + n).map(|i| subject.value(i)).collect()
}

fn as_read(split: &Split, first: usize, values: impl AsRef<[Vec<u8>]>) -> Unit {
    let first = i64::try_from(first).unwrap_or(0);
    let mut b = BatchBuilder::new(split.clone(), first);
    for (offset, value) in (first..).zip(values.as_ref()) {
        let key = offset.to_string();
        b.push(&RecordRef {
            offset,
            sub: 0,
            timestamp_ms: 1_700_000_000_000,
            key: Some(key.as_bytes()),
            value: Some(value),
            headers: Headers::none(),
        });
    }
    let batch: Batch = b.finish(0);
    Unit::as_read(Arc::new(batch))
}

async fn compare(
    subject: &dyn Subject,
    profile: Profile,
    split: &Split,
    mut wanted: Vec<Vec<u8>>,
) -> Verdict {
    let mut found = during("look", subject.values(split).await)?;
    if !profile.ordered {
        wanted.sort();
        found.sort();
    }
    if found == wanted {
        return Ok(());
    }
    let show = |v: &Vec<Vec<u8>>| {
        v.iter().take(20).map(|v| String::from_utf8_lossy(v).into_owned()).collect::<Vec<_>>().join(" | ")
    };
    Err(format!(
        "{split}: {} records [{}], wanted {} [{}]",
        found.len(),
        show(&found),
        wanted.len(),
        show(&wanted)
    ))
}

#[cfg(test)]
mod tests;
