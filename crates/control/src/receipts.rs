//! Receipts and report files.

use std::path::PathBuf;

use model::{Receipt, TaskId, Timestamp};
use ring::hmac;

use crate::{Caller, Control, Error, Noun, Result};

impl Control {
    /// What an ended task can prove.
    ///
    /// # Errors
    /// `NotFound(Task)`, `NotFound(Receipt)` when it made none (yet).
    pub async fn receipt(&self, c: &Caller, id: &TaskId) -> Result<Receipt> {
        self.task(c, id).await?;
        self.0.store.receipt(id).await?.ok_or_else(|| Error::not_found(Noun::Receipt, id))
    }

    pub(crate) fn report_folder(&self, task: &TaskId) -> Option<PathBuf> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        let id = task.as_str();
        let fine = (1..=128).contains(&id.len()) && id.bytes().all(plain);
        fine.then(|| self.0.data_dir.join("reports").join(id))
    }

    /// Where a report file of a task is, if both names are harmless. It may not be there.
    #[must_use]
    pub fn report_path(&self, task: &TaskId, file: &str) -> Option<PathBuf> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let fine = (1..=128).contains(&file.len()) && !file.starts_with('.') && file.bytes().all(plain);
        if fine { Some(self.report_folder(task)?.join(file)) } else { None }
    }

    /// The token that opens `/reports/<task>/<file>?token=…` without a signature, for as long as
    /// [`crate::Limits::report_link_seconds`] from now. It is bound to the two names, to the moment of its
    /// end and to the master key.
    #[must_use]
    pub fn report_token(&self, task: &TaskId, file: &str) -> String {
        use std::fmt::Write as _;
        let seconds = i64::try_from(self.0.limits.report_link_seconds).unwrap_or(i64::MAX);
        let ends = Timestamp(self.now().0.saturating_add(seconds.saturating_mul(1_000_000)));
        let tag = hmac::sign(&self.0.seal.mac_key("reports"), &report_message(task, file, ends));
        tag.as_ref().iter().fold(format!("{:016x}", ends.0), |mut hex, b| {
            let _ = write!(hex, "{b:02x}");
            hex
        })
    }

    /// Does this token open this file? The tag is compared in constant time, and before the moment that
    /// it vouches for.
    #[must_use]
    pub fn check_report_token(&self, task: &TaskId, file: &str, token: &str) -> ReportAccess {
        let Some((ends, tag)) = read_token(token) else { return ReportAccess::Refused };
        let key = self.0.seal.mac_key("reports");
        if hmac::verify(&key, &report_message(task, file, ends), &tag).is_err() {
            return ReportAccess::Refused;
        }
        if self.now() < ends { ReportAccess::Granted } else { ReportAccess::Expired(ends) }
    }
}

/// What a report's token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportAccess {
    /// It opens the file.
    Granted,
    /// It did until then.
    Expired(Timestamp),
    /// It is not one of ours for this file.
    Refused,
}

/// 16 hexadecimal digits for the end, in µs since the epoch, then the tag.
fn read_token(token: &str) -> Option<(Timestamp, Vec<u8>)> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, odd) = token.as_bytes().as_chunks::<2>();
    if !odd.is_empty() || pairs.len() > 8 + 64 {
        return None;
    }
    let bytes: Vec<u8> =
        pairs.iter().map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?)).collect::<Option<_>>()?;
    let (ends, tag) = bytes.split_first_chunk::<8>()?;
    Some((Timestamp(i64::from_be_bytes(*ends)), tag.to_vec()))
}

/// Ids hold no NUL, so no other pair of names has the same bytes.
fn report_message(task: &TaskId, file: &str, ends: Timestamp) -> Vec<u8> {
    [task.as_str().as_bytes(), &[0], file.as_bytes(), &[0], &ends.0.to_be_bytes()].concat()
}
