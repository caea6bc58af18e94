//! `GetReceipt`, `VerifyReceipt`.

use api::Fault;
use control::{Caller, Control};
use model::TaskId;

use super::Id;
use crate::fault::fault;
use crate::translate;
use crate::wire::{ReceiptView, VerificationView};

pub async fn get(c: &Control, request: Id) -> Result<ReceiptView, Fault> {
    let receipt = c.receipt(&Caller::operator(), &TaskId(request.id)).await.map_err(fault)?;
    Ok(translate::receipt(c, &receipt))
}

pub async fn verify(c: &Control, request: Id) -> Result<VerificationView, Fault> {
    let found = c.verify_receipt(&Caller::operator(), &TaskId(request.id)).await.map_err(fault)?;
    Ok(translate::verification(&found))
}
