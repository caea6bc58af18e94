//! Accounts and their access keys.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use model::{Account, AccountId, Declared};
use runtime::Random;
use store::Purpose;

use crate::{Control, Error, ErrorKind, GivenKey, NewAccount, Noun, Result};

/// How long an opened secret is kept. A change made through this process is seen at once; one made by
/// another server over the same PostgreSQL after this time.
const KEPT: Duration = Duration::from_secs(10);

/// Tokens of one account at most, and the lengths that they may have.
const MAX_TOKENS: usize = 16;
const TOKEN: std::ops::RangeInclusive<usize> = 16..=8192;

/// Keys that are kept at most.
const MAX_KEPT: usize = 4096;

/// Opened secrets by access key id. No `Debug`.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashMap<String, (Instant, Account, String)>>);

impl Keys {
    fn get(&self, id: &str) -> Option<(Account, String)> {
        let kept = self.0.lock().ok()?;
        let (at, account, secret) = kept.get(id)?;
        (at.elapsed() < KEPT).then(|| (account.clone(), secret.clone()))
    }

    fn put(&self, account: &Account, secret: &str) {
        let Ok(mut kept) = self.0.lock() else { return };
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        let entry = (Instant::now(), account.clone(), secret.to_owned());
        kept.insert(account.access_key_id.clone(), entry);
    }

    fn forget(&self) {
        if let Ok(mut kept) = self.0.lock() {
            kept.clear();
        }
    }
}

impl Control {
    /// The account with this access key id, and its plain secret: for checking a signature, and nothing
    /// else. Accounts that are switched off are returned too.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn account_by_access_key(&self, id: &str) -> Result<Option<(Account, String)>> {
        if let Some(found) = self.0.keys.get(id) {
            return Ok(Some(found));
        }
        let Some(account) = self.0.store.account_by_access_key(id).await? else { return Ok(None) };
        let secret = self.0.seal.open(Purpose::AccountSecret, &account.secret)?;
        self.0.keys.put(&account, &secret);
        Ok(Some((account, secret)))
    }

    /// The account that an access token belongs to, also one that is switched off. Tokens are looked up by their
    /// digest, so how long that takes tells nothing of them.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn account_by_token(&self, token: &str) -> Result<Option<Account>> {
        if !TOKEN.contains(&token.len()) {
            return Ok(None);
        }
        Ok(self.0.store.account_by_token(&digest(token)).await?)
    }

    /// Makes an access token for an account. It is returned this once; only its digest is kept.
    ///
    /// # Errors
    /// `NotFound(Account)`; `LimitExceeded`; `Denied` for an account that the configuration declares: its tokens are
    /// declared there.
    pub async fn issue_token(&self, id: &AccountId) -> Result<String> {
        let mut account = self.changeable_tokens(id).await?;
        if account.tokens.len() >= MAX_TOKENS {
            let words = format!("an account has {MAX_TOKENS} tokens at most: revoke them first");
            return Err(Error::new(ErrorKind::LimitExceeded, words));
        }
        let token = format!("wharf-{}", self.0.random.alphanumeric(48));
        account.tokens.push(digest(&token));
        self.write(&account).await?;
        Ok(token)
    }

    /// Makes all access tokens of an account worthless. Says how many there were.
    ///
    /// # Errors
    /// `NotFound(Account)`; `Denied` as for [`Control::issue_token`].
    pub async fn revoke_tokens(&self, id: &AccountId) -> Result<usize> {
        let mut account = self.changeable_tokens(id).await?;
        let n = account.tokens.len();
        account.tokens.clear();
        self.write(&account).await?;
        Ok(n)
    }

    async fn changeable_tokens(&self, id: &AccountId) -> Result<Account> {
        let known = self.0.store.account(id).await?;
        let account = known.ok_or_else(|| Error::not_found(Noun::Account, id))?;
        match account.declared {
            Declared::Now => {
                Err(Error::new(ErrorKind::Denied, "this account's tokens are declared in wharf.toml"))
            }
            _ => Ok(account),
        }
    }

    /// All accounts.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        Ok(self.0.store.accounts().await?)
    }

    /// Makes an account with its access key. The plain secret is returned this once.
    ///
    /// # Errors
    /// `Exists` when the id or the access key id is taken, `Invalid`.
    pub async fn create_account(&self, new: NewAccount) -> Result<(Account, String)> {
        let random = &self.0.random;
        let key = new.key.unwrap_or_else(|| GivenKey {
            access_key_id: format!("AKID{}", random.alphanumeric(32)),
            secret: random.alphanumeric(32),
        });
        check_key(&key)?;
        check_name(&new.name)?;
        let id = new.id.unwrap_or_else(|| format!("1000{}", digits(random, 8)));
        let account = Account {
            id: AccountId(plain_word(id, "id")?),
            name: new.name,
            access_key_id: key.access_key_id,
            secret: self.0.seal.seal(Purpose::AccountSecret, &key.secret),
            app_id: plain_word(new.app_id.unwrap_or_else(|| format!("125{}", digits(random, 7))), "app_id")?,
            operator: new.operator,
            active: true,
            declared: Declared::Never,
            tokens: digests(&new.tokens)?,
            created: self.now(),
        };
        self.0.store.insert_account(&account).await.map_err(|e| match e.kind() {
            store::ErrorKind::Exists => Error::new(
                ErrorKind::Exists(Noun::Account),
                "an account with this id or access key exists already",
            ),
            _ => e.into(),
        })?;
        Ok((account, key.secret))
    }

    /// Makes an account that is declared (configuration, demo), or brings the one with this id to what is
    /// declared. `id` and `key` must be given.
    ///
    /// # Errors
    /// `Exists` when the access key belongs to another account, `Invalid`.
    pub async fn declare_account(&self, new: NewAccount) -> Result<Account> {
        let (Some(id), Some(key)) = (&new.id, &new.key) else {
            return Err(Error::new(ErrorKind::Invalid, "a declared account needs an id and a key"));
        };
        let known = self.0.store.account(&AccountId::from(id.as_str())).await?;
        let Some(mut account) = known else {
            let mut account = self.create_account(new).await?.0;
            account.declared = Declared::Now;
            self.write(&account).await?;
            return Ok(account);
        };
        check_key(key)?;
        check_name(&new.name)?;
        account.access_key_id.clone_from(&key.access_key_id);
        account.secret = self.0.seal.seal(Purpose::AccountSecret, &key.secret);
        account.tokens = digests(&new.tokens)?;
        account.name = new.name;
        account.operator = new.operator;
        // What an operator switched off stays off; what only its absence did comes back.
        account.active |= account.declared == Declared::Before;
        account.declared = Declared::Now;
        if let Some(app_id) = new.app_id {
            account.app_id = plain_word(app_id, "app_id")?;
        }
        self.write(&account).await?;
        Ok(account)
    }

    /// Switches an account on or off. An account that is off is refused from the next request on.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn set_account_active(&self, id: &AccountId, active: bool) -> Result<Account> {
        let known = self.0.store.account(id).await?;
        let mut account = known.ok_or_else(|| Error::not_found(Noun::Account, id))?;
        account.active = active;
        if active && account.declared == Declared::Before {
            // From here on it is the command's, not the configuration's.
            account.declared = Declared::Never;
        }
        self.write(&account).await?;
        Ok(account)
    }

    /// Switches off the accounts that `wharf.toml` declared and no longer does. Declared again, they come back.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn release_undeclared_accounts(&self, declared: &[AccountId]) -> Result<()> {
        for mut account in self.0.store.accounts().await? {
            if account.declared == Declared::Now && !declared.contains(&account.id) {
                tracing::info!(account = %account.id, "no longer declared: switched off");
                (account.active, account.declared) = (false, Declared::Before);
                self.write(&account).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, account: &Account) -> Result<()> {
        let written = self.0.store.update_account(account).await;
        self.0.keys.forget();
        written.map_err(|e| match e.kind() {
            store::ErrorKind::Exists => {
                Error::new(ErrorKind::Exists(Noun::Account), "another account has this access key")
            }
            _ => e.into(),
        })
    }
}

fn digits(random: &Random, n: usize) -> String {
    let mut text = String::with_capacity(n);
    while text.len() < n {
        text.extend(random.bytes::<16>().iter().filter(|b| **b < 250).map(|b| char::from(b'0' + b % 10)));
    }
    text.truncate(n);
    text
}

/// What is kept of a token. Tokens are long and random, so a plain digest gives nothing away.
fn digest(token: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, b| {
        use std::fmt::Write as _;
        let _ = write!(hex, "{b:02x}");
        hex
    })
}

fn digests(tokens: &[crate::GivenToken]) -> Result<Vec<String>> {
    if tokens.len() > MAX_TOKENS {
        let words = format!("an account has {MAX_TOKENS} tokens at most");
        return Err(Error::new(ErrorKind::Invalid, words).field("tokens"));
    }
    if tokens.iter().any(|t| !TOKEN.contains(&t.0.len()) || !t.0.bytes().all(|b| b.is_ascii_graphic())) {
        let words = "a token has 16 to 8192 printable ascii characters";
        return Err(Error::new(ErrorKind::Invalid, words).field("tokens"));
    }
    Ok(tokens.iter().map(|t| digest(&t.0)).collect())
}

fn check_key(key: &GivenKey) -> Result<()> {
    let id = &key.access_key_id;
    if !(8..=128).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        let words = "an access key id has 8 to 128 letters, digits, `-`, `_` or `.`";
        return Err(Error::new(ErrorKind::Invalid, words).field("access_key_id"));
    }
    if !(8..=256).contains(&key.secret.len()) || !key.secret.bytes().all(|b| b.is_ascii_graphic()) {
        let words = "a secret key has 8 to 256 printable ascii characters";
        return Err(Error::new(ErrorKind::Invalid, words).field("secret"));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    if name.len() > 256 || name.chars().any(char::is_control) {
        return Err(Error::new(ErrorKind::Invalid, "a name has 256 bytes at most").field("name"));
    }
    Ok(())
}

fn plain_word(word: String, field: &'static str) -> Result<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if (1..=64).contains(&word.len()) && word.bytes().all(plain) {
        return Ok(word);
    }
    Err(Error::new(ErrorKind::Invalid, "1 to 64 letters, digits, `-` or `_` are expected").field(field))
}
