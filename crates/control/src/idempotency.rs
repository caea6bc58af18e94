//! Client tokens: the same request sent twice acts once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use model::Timestamp;

use crate::{Caller, Control, Error, ErrorKind, Result};

/// How long a token is remembered.
const KEPT_US: i64 = 24 * 3600 * 1_000_000;

/// Tokens that are in use at this moment.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<[String; 3], Arc<tokio::sync::Mutex<()>>>>);

impl Tokens {
    fn gate(&self, key: [String; 3]) -> Arc<tokio::sync::Mutex<()>> {
        let Ok(mut gates) = self.0.lock() else { return Arc::default() };
        // Whoever holds or waits at a gate holds a reference to it.
        gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        gates.entry(key).or_default().clone()
    }
}

impl Control {
    /// The id that was answered to this token, if the parameters are the same.
    ///
    /// # Errors
    /// `TokenMismatch` when the parameters were others.
    pub async fn remembered(
        &self,
        c: &Caller,
        action: &str,
        token: &str,
        fingerprint: &[u8],
    ) -> Result<Option<String>> {
        match self.0.store.remembered(&c.account, action, token, self.now()).await? {
            None => Ok(None),
            Some((known, id)) if known == fingerprint => Ok(Some(id)),
            Some(_) => Err(Error::new(
                ErrorKind::TokenMismatch,
                "the client token was used with other parameters before",
            )),
        }
    }

    /// Remembers the id that is answered to a token, for 24 hours.
    ///
    /// # Errors
    /// `TokenMismatch` when the token has another answer.
    pub async fn remember(
        &self,
        c: &Caller,
        action: &str,
        token: &str,
        fingerprint: &[u8],
        id: &str,
    ) -> Result<()> {
        let now = self.now();
        let times = (now, Timestamp(now.0.saturating_add(KEPT_US)));
        match self.0.store.remember(&c.account, action, token, (fingerprint, id), times).await {
            Err(e) if e.kind() == store::ErrorKind::Exists => {
                Err(Error::new(ErrorKind::TokenMismatch, "the client token has another answer already"))
            }
            other => Ok(other?),
        }
    }

    /// Acts once per token: holds it while `act` runs, so that of two simultaneous requests the second gets
    /// the first one's answer. Prefer it to the two above. `token`: the token and the fingerprint of the
    /// parameters; `None` = acts. Returns the id, and whether it was remembered.
    ///
    /// A crash after `act` and before its answer is remembered lets a repetition act again. With several
    /// servers over one PostgreSQL, two simultaneous requests to two of them may both act; the second then
    /// is answered `TokenMismatch`.
    ///
    /// # Errors
    /// `TokenMismatch`, and `act`'s own (nothing is remembered then).
    pub async fn once(
        &self,
        c: &Caller,
        action: &str,
        token: Option<(&str, &[u8])>,
        act: impl Future<Output = Result<String>> + Send,
    ) -> Result<(String, bool)> {
        let Some((token, fingerprint)) = token else { return Ok((act.await?, false)) };
        let gate = self.0.tokens.gate([c.account.0.clone(), action.to_owned(), token.to_owned()]);
        let _held = gate.lock().await;
        if let Some(id) = self.remembered(c, action, token, fingerprint).await? {
            return Ok((id, true));
        }
        let id = act.await?;
        self.remember(c, action, token, fingerprint, &id).await?;
        Ok((id, false))
    }
}
