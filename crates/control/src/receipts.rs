//! Receipts and report files.

use std::path::PathBuf;

use model::{Receipt, TaskId};
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

    /// The token that opens `/reports/<task>/<file>?token=…` without a signature. It is bound to the two
    /// names and to the master key.
    #[must_use]
    pub fn report_token(&self, task: &TaskId, file: &str) -> String {
        use std::fmt::Write as _;
        let tag = hmac::sign(&self.0.seal.mac_key("reports"), &report_message(task, file));
        tag.as_ref().iter().fold(String::with_capacity(64), |mut hex, b| {
            let _ = write!(hex, "{b:02x}");
            hex
        })
    }

    /// Does this token open this file? In constant time.
    #[must_use]
    pub fn check_report_token(&self, task: &TaskId, file: &str, token: &str) -> bool {
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let (pairs, odd) = token.as_bytes().as_chunks::<2>();
        let tag: Option<Vec<u8>> = pairs.iter().map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?)).collect();
        let key = self.0.seal.mac_key("reports");
        odd.is_empty() && tag.is_some_and(|tag| hmac::verify(&key, &report_message(task, file), &tag).is_ok())
    }
}

/// Ids hold no NUL, so no other pair of names has the same bytes.
fn report_message(task: &TaskId, file: &str) -> Vec<u8> {
    [task.as_str().as_bytes(), &[0], file.as_bytes()].concat()
}
