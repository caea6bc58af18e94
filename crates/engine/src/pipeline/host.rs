//! What becomes of records that the destination refuses.
//!
//! `Corrupt` means that the sink's own options say that such a record is dropped; where all refused records of a call are so, they
//! are. An error directory takes the records as the batch has them: there is no transform where one is. Everything else goes by the pipeline's rule. A call has one ruling: a sink that wants corrupt ones dropped and others
//! kept asks for each group by itself.

use std::cell::RefCell;
use std::rc::Rc;

use async_trait::async_trait;
use connector::records::{Aside, ErrorDirectory, Host, Refused, Ruling, Unit};
use connector::{Error, ErrorKind, Result};
use model::{DeadLetter, OnFailure};

use super::held::Held;
use super::keeper::Keeper;

/// The engine's side of a lane's sink.
pub(super) struct LaneHost {
    pub rule: OnFailure,
    pub keeper: Keeper,
    pub held: Rc<RefCell<Held>>,
    /// Where `Aside` puts records.
    pub errors: Option<Rc<dyn ErrorDirectory>>,
}

#[async_trait(?Send)]
impl Host for LaneHost {
    async fn refuse(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
        if refused.iter().all(|r| r.kind == ErrorKind::Corrupt) {
            return Ok(Ruling::Dropped);
        }
        match self.rule {
            OnFailure::Drop => Ok(Ruling::Dropped),
            OnFailure::Keep { .. } => {
                let letters = self.letters(unit, &refused)?;
                self.keeper.keep(letters).await?;
                Ok(Ruling::Kept)
            }
            OnFailure::Aside { .. } => {
                let none = || Error::new(ErrorKind::Other, "the pipeline has no error directory");
                let errors = self.errors.as_ref().ok_or_else(none)?;
                errors.put(&unit.batch, Aside::Some(&refused)).await?;
                Ok(Ruling::Kept)
            }
            OnFailure::Block | OnFailure::Pass => Err(blocked(unit, &refused)),
        }
    }
}

impl LaneHost {
    fn letters(&self, unit: &Unit, refused: &[Refused]) -> Result<Vec<DeadLetter>> {
        let unknown = || Error::new(ErrorKind::Other, "the sink refused a record that it does not have");
        let originals = self.held.borrow().original(&unit.batch).ok_or_else(unknown)?;
        let mut letters = Vec::with_capacity(refused.len());
        for r in refused {
            let record = unit.batch.get(r.index).ok_or_else(unknown)?;
            let original =
                originals.get(originals.at(record.offset).start).filter(|o| o.offset == record.offset);
            let original = original.ok_or_else(unknown)?;
            let why = (r.kind.name(), r.reason.as_str());
            letters.push(self.keeper.letter(unit.batch.split(), &original, record.sub, why));
        }
        letters.sort_by_key(|l| (l.offset, l.sub));
        Ok(letters)
    }
}

fn blocked(unit: &Unit, refused: &[Refused]) -> Error {
    let split = unit.batch.split();
    match refused.iter().find_map(|r| Some((unit.batch.get(r.index)?.offset, r))) {
        Some((offset, r)) => {
            Error::new(r.kind, format!("the destination refuses {split} offset {offset}: {}", r.reason))
        }
        None => Error::new(ErrorKind::Unacceptable, format!("the destination refuses records of {split}")),
    }
}
