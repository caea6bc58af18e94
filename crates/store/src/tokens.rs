//! Client tokens: which answer a token was given.

use model::{AccountId, Timestamp};

use crate::db::{Value, values};
use crate::{Error, ErrorKind, Result, Store};

impl Store {
    /// The answer remembered for a client token: fingerprint of the parameters, and id.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn remembered(
        &self,
        account: &AccountId,
        action: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<(Vec<u8>, String)>> {
        let sql = "SELECT fingerprint, answer FROM tokens \
                   WHERE account = $1 AND action = $2 AND token = $3 AND expires > $4";
        let row = self.0.db.row(sql, values![account.as_str(), action, token, now.0]).await?;
        row.map(|row| Ok((row.bytes(0)?, row.text(1)?))).transpose()
    }

    /// Remembers an answer (fingerprint, id) until `expires`, in place of one that had expired at `now`.
    ///
    /// # Errors
    /// `Exists` when the token has an answer already.
    pub async fn remember(
        &self,
        account: &AccountId,
        action: &str,
        token: &str,
        answer: (&[u8], &str),
        (now, expires): (Timestamp, Timestamp),
    ) -> Result<()> {
        let sql = "INSERT INTO tokens (account, action, token, fingerprint, answer, expires) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, action, token) DO UPDATE SET \
                   fingerprint = excluded.fingerprint, answer = excluded.answer, expires = excluded.expires \
                   WHERE tokens.expires <= $7";
        let row = vec![
            account.as_str().into(),
            action.into(),
            token.into(),
            Value::Bytes(answer.0.to_vec()),
            answer.1.into(),
            expires.0.into(),
            now.0.into(),
        ];
        match self.0.db.execute(sql, row).await? {
            0 => Err(Error::new(ErrorKind::Exists, "the client token has an answer already")),
            _ => Ok(()),
        }
    }

    /// Forgets expired tokens. Returns how many.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn forget_tokens(&self, now: Timestamp) -> Result<u64> {
        self.0.db.execute("DELETE FROM tokens WHERE expires <= $1", values![now.0]).await
    }
}
