//! What the tests of record sinks share: a host that notes refusals, units of made-up records, a way to feed them.
#![allow(dead_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use connector::records::{
    BatchBuilder, Context, Endpoint, Headers, Host, Mark, RecordRef, RecordSink, Refused, Ruling, Secret,
    SharedHost, Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use runtime::{ByteBudget, Clock, Random};

/// Keeps what is refused, or will have none of it.
#[derive(Default)]
pub struct Desk {
    kept: RefCell<Vec<(i64, String)>>,
    closed: bool,
}

impl Desk {
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    pub fn closed() -> Rc<Self> {
        Rc::new(Self { closed: true, ..Self::default() })
    }

    /// Offsets and reasons, sorted.
    pub fn kept(&self) -> Vec<(i64, String)> {
        let mut kept = self.kept.borrow().clone();
        kept.sort();
        kept
    }
}

#[async_trait(?Send)]
impl Host for Desk {
    async fn refuse(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
        if self.closed {
            return Err(Error::new(ErrorKind::Unacceptable, "the task does not go on without"));
        }
        for r in refused {
            let offset = unit.batch.get(r.index).unwrap().offset;
            self.kept.borrow_mut().push((offset, r.reason));
        }
        Ok(Ruling::Kept)
    }
}

pub fn context() -> Context {
    Context {
        pipeline: "task-test".into(),
        lane: 0,
        clock: Clock::system(),
        random: Random::system(),
        budget: ByteBudget::new(256 << 20),
    }
}

pub fn endpoint(url: &str, options: &str) -> Endpoint {
    Endpoint {
        connection: format!(r#"{{"url":"{url}","user":"u"}}"#),
        secret: Some(Secret("secret".into())),
        options: options.to_owned(),
    }
}

/// Records of `t-0` from this offset on, at 2023-11-14T22:13:20Z.
pub fn unit(first: i64, values: &[String]) -> Unit {
    unit_of(Split::new("t", 0), first, values)
}

pub fn unit_of(split: Split, first: i64, values: &[String]) -> Unit {
    let mut b = BatchBuilder::new(split, first);
    for (n, value) in values.iter().enumerate() {
        let record = RecordRef {
            offset: first + n as i64,
            sub: 0,
            timestamp_ms: 1_700_000_000_000,
            key: None,
            value: Some(value.as_bytes()),
            headers: Headers::none(),
        };
        assert!(b.push(&record));
    }
    Unit::as_read(Arc::new(b.finish(first)))
}

/// Writes the units, flushes, and returns the last mark of each split. Run it inside a `LocalSet`.
pub async fn run(sink: &mut dyn RecordSink, units: Vec<Unit>) -> Result<HashMap<Split, Mark>> {
    let mut marks = HashMap::new();
    let mut note = |sink: &mut dyn RecordSink| {
        for s in sink.settled() {
            let before: Option<Mark> = marks.insert(s.split, s.mark);
            assert!(before.is_none_or(|b| b.next <= s.mark.next), "settled out of order");
        }
    };
    for unit in units {
        sink.write(unit).await?;
        note(sink);
        sink.tick().await?;
        note(sink);
        tokio::task::yield_now().await;
    }
    sink.flush().await?;
    note(sink);
    Ok(marks)
}

pub fn host(desk: &Rc<Desk>) -> SharedHost {
    desk.clone()
}
