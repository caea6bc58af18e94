use connector::records::{BatchBuilder, Headers, RecordRef};

use super::*;

/// A source whose split goes away and comes back while its first record, a large one, waits for memory.
struct Member {
    script: VecDeque<Polled>,
    polls: Arc<Mutex<usize>>,
}

impl RecordSource for Member {
    fn describe(&self) -> String {
        "script".to_owned()
    }

    fn poll(&mut self, _: Duration, room: usize) -> Result<Polled> {
        *self.polls.lock().unwrap() += 1;
        let gives = matches!(self.script.front(), Some(Polled::Batch(_)));
        if gives && room == 0 {
            return Ok(Polled::Idle);
        }
        Ok(self.script.pop_front().unwrap_or(Polled::Idle))
    }

    fn start(&mut self, _: &[(Split, Option<i64>)]) -> Result<()> {
        Ok(())
    }

    fn release(&mut self, _: &[Split]) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self, _: &[(Split, i64, String)]) -> Result<()> {
        Ok(())
    }

    fn end(&self, _: &Split) -> Option<i64> {
        None
    }
}

fn batch(split: &Split, at: i64, size: usize) -> Batch {
    let mut batch = BatchBuilder::new(split.clone(), at);
    let value = vec![0; size];
    let record = RecordRef {
        offset: at,
        sub: 0,
        timestamp_ms: 0,
        key: None,
        value: Some(&value),
        headers: Headers::none(),
    };
    assert!(batch.push(&record));
    batch.finish(at + 1)
}

#[test]
fn what_waits_for_memory_while_its_split_goes_and_comes_is_old() {
    let split = Split::new("t", 0);
    let budget = ByteBudget::new(8 << 20);
    let windows = Windows::new(8 << 20, 1);
    let (mut intake, outlet) = ways(&windows);
    let script = [
        Polled::Assigned(vec![split.clone()]),
        Polled::Batch(batch(&split, 200, 4 << 20)),
        Polled::Revoked(vec![split.clone()]),
        Polled::Assigned(vec![split.clone()]),
        Polled::Batch(batch(&split, 100, 10)),
    ];
    let polls = Arc::new(Mutex::new(0));
    let member = Member { script: script.into(), polls: polls.clone() };
    // The record fits only once this is given back.
    let other = budget.clone();
    let taken = pin!(other.lease(5 << 20));
    let mut context = std::task::Context::from_waker(Waker::noop());
    let Poll::Ready(taken) = taken.poll(&mut context) else { panic!("there is room") };
    let share = Share { windows, copies: 1, room: u64::MAX, budget };
    let served = std::thread::spawn(move || serve(|| Ok(Box::new(member)), share, &outlet));
    let mut told = || loop {
        match intake.events.blocking_recv() {
            Some(Event::Ready(_)) => {}
            Some(Event::Assigned(epoch, _)) => return epoch,
            Some(Event::Revoked(_)) => return 0,
            other => panic!("{other:?}"),
        }
    };
    let first = told();
    assert_eq!(told(), 0, "it is revoked while the record waits");
    let again = told();
    drop(taken);
    let (old, new) = (intake.batches.blocking_recv().unwrap(), intake.batches.blocking_recv().unwrap());
    assert_eq!((old.batch.first(), old.epoch), (200, first));
    assert_eq!((new.batch.first(), new.epoch), (100, again));
    assert!(again > first && *polls.lock().unwrap() >= 5);
    intake.gate.stop();
    served.join().unwrap();
}
