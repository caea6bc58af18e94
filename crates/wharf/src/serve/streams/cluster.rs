//! The server's own Kafka cluster: the embedded broker, or one that the configuration names.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use connector::records::Endpoint;

/// How topics of streams begin: without an entry they are nobody's.
const STREAMS: &str = "dis.";
/// How the cluster's and the server's own topics begin.
const RESERVED: &str = "__";

/// Who may use what on the embedded broker, kept in memory, where its door asks for every topic of every request.
#[derive(Debug, Clone, Default)]
pub struct Rights(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Users that come and go while the broker runs, those of topics, with their passwords.
    users: HashMap<String, String>,
    /// Whose a topic is.
    owners: HashMap<String, String>,
    /// The one topic of a topic's user.
    topics: HashMap<String, String>,
    /// Accounts by the key with which they were let in; `None` = an operator's.
    accounts: HashMap<String, Option<String>>,
    /// All owners are known: until then accounts see nothing.
    complete: bool,
}

impl Rights {
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The password of a topic's user.
    pub fn password(&self, user: &str) -> Option<String> {
        self.read().users.get(user).cloned()
    }

    /// An account is let in with this key.
    pub fn put_account(&self, key: &str, account: Option<&str>) {
        let account = account.map(str::to_owned);
        if self.read().accounts.get(key) != Some(&account) {
            self.write().accounts.insert(key.to_owned(), account);
        }
    }

    /// May this user use this topic? A topic's own user its topic alone; an account everything but other accounts' topics, streams
    /// that are not its own, and what is the cluster's; an operator everything.
    pub fn may_use(&self, user: &str, topic: &str) -> bool {
        let known = self.read();
        if known.users.contains_key(user) {
            return known.topics.get(user).is_some_and(|t| t == topic);
        }
        match known.accounts.get(user) {
            None => false,
            Some(None) => true,
            Some(Some(account)) => match known.owners.get(topic) {
                _ if !known.complete || topic.starts_with(RESERVED) => false,
                Some(owner) => owner == account,
                None => !topic.starts_with(STREAMS),
            },
        }
    }
}

/// See the module.
#[derive(Clone)]
pub struct Own {
    /// How this process reaches it.
    pub endpoint: Endpoint,
    /// The address that clients are told.
    pub address: String,
    /// Where users and rights are kept, if it is the embedded broker.
    pub rights: Option<Rights>,
    /// The embedded broker itself, if it is that.
    pub broker: Option<broker::Broker>,
    /// What this process's clients of other clusters call themselves, so that the embedded broker knows them when they come to it after
    /// all, by whatever address.
    pub guest: String,
}

impl Own {
    /// Lets a user in.
    pub fn put_user(&self, user: &str, password: &str) {
        if let Some(rights) = &self.rights {
            rights.write().users.insert(user.to_owned(), password.to_owned());
        }
    }

    /// Lets a user in no more.
    pub fn drop_user(&self, user: &str) {
        if let Some(rights) = &self.rights {
            let mut known = rights.write();
            known.users.remove(user);
            known.topics.remove(user);
        }
    }

    /// Says whose a topic is, and which user is its own.
    pub fn put_owner(&self, topic: &str, owner: Option<(&str, Option<&str>)>) {
        let Some(rights) = &self.rights else { return };
        let mut known = rights.write();
        match owner {
            None => drop(known.owners.remove(topic)),
            Some((account, user)) => {
                known.owners.insert(topic.to_owned(), account.to_owned());
                if let Some(user) = user {
                    known.topics.insert(user.to_owned(), topic.to_owned());
                }
            }
        }
    }

    /// All owners are known.
    pub fn complete(&self) {
        if let Some(rights) = &self.rights {
            rights.write().complete = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_their_accounts() {
        let rights = Rights::default();
        let endpoint = Endpoint { connection: String::new(), secret: None, options: String::new() };
        let (address, guest) = (String::new(), String::new());
        let own = Own { endpoint, address, rights: Some(rights.clone()), broker: None, guest };
        own.put_owner("1-a", Some(("a", Some("dip-a"))));
        own.put_owner("dis.b.s", Some(("b", None)));
        own.put_user("dip-a", "secret");
        for (key, account) in [("AKA", Some("a")), ("AKB", Some("b")), ("AKO", None)] {
            rights.put_account(key, account);
        }
        assert!(!rights.may_use("AKA", "1-a"), "whose topics are is not known yet");
        own.complete();
        let may = |user| ["1-a", "free", "dis.b.s", "dis.x", "__groups"].map(|t| rights.may_use(user, t));
        assert_eq!(may("AKA"), [true, true, false, false, false]);
        assert_eq!(may("AKB"), [false, true, true, false, false]);
        assert_eq!(may("AKO"), [true; 5]);
        assert_eq!(may("dip-a"), [true, false, false, false, false]);
        assert_eq!(may("nobody"), [false; 5]);
        own.drop_user("dip-a");
        own.put_owner("1-a", None);
        assert_eq!((may("dip-a"), rights.may_use("AKB", "1-a")), ([false; 5], true));
    }
}
