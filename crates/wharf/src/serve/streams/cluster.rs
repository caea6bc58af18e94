//! The server's own Kafka cluster: the embedded broker, or one that the configuration names.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use connector::records::Endpoint;

/// Users of the broker that come and go while it runs: those of topics. Shared with the broker's door.
pub type TopicUsers = Arc<RwLock<HashMap<String, String>>>;

/// See the module.
#[derive(Clone)]
pub struct Own {
    /// How this process reaches it.
    pub endpoint: Endpoint,
    /// The address that clients are told.
    pub address: String,
    /// Where users are kept, if it is the embedded broker.
    pub users: Option<TopicUsers>,
    /// The embedded broker itself, if it is that.
    pub broker: Option<broker::Broker>,
}

impl Own {
    /// Lets a user in.
    pub fn put_user(&self, user: &str, password: &str) {
        if let Some(users) = &self.users {
            let mut users = users.write().unwrap_or_else(PoisonError::into_inner);
            users.insert(user.to_owned(), password.to_owned());
        }
    }

    /// Lets a user in no more.
    pub fn drop_user(&self, user: &str) {
        if let Some(users) = &self.users {
            users.write().unwrap_or_else(PoisonError::into_inner).remove(user);
        }
    }
}
