//! Saying who one is: PLAIN (RFC 4616) and SCRAM (RFC 5802, RFC 7677), the server's side.

mod scram;

use crate::settings::Users;
use ring::digest;
use scram::{First, Hash};
use subtle::ConstantTimeEq as _;

/// The mechanisms, the best first.
pub const MECHANISMS: [&str; 3] = ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"];

/// How a client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Name and password as they are: only sensible with TLS.
    Plain,
    /// A proof of the password.
    Scram(Hash),
}

impl Mechanism {
    /// The mechanism of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "PLAIN" => Some(Self::Plain),
            "SCRAM-SHA-256" => Some(Self::Scram(Hash::Sha256)),
            "SCRAM-SHA-512" => Some(Self::Scram(Hash::Sha512)),
            _ => None,
        }
    }
}

/// How far a connection is.
#[derive(Debug)]
pub enum Exchange {
    /// It has to choose a mechanism.
    Begin,
    /// It has chosen; `raw`: its messages come without a request around them (handshake version 0).
    Chosen {
        /// Which.
        mechanism: Mechanism,
        /// Bare messages?
        raw: bool,
    },
    /// It has to prove that it knows the password.
    Challenged {
        /// What was said so far.
        first: Box<First>,
        /// Bare messages?
        raw: bool,
    },
    /// It is let in.
    Done,
    /// It is not.
    Failed,
}

impl Exchange {
    /// Is the next frame a bare message?
    pub fn is_raw(&self) -> bool {
        matches!(self, Self::Chosen { raw: true, .. } | Self::Challenged { raw: true, .. })
    }

    /// Takes one message of the client and gives the answer. Nobody learns whether it was the name or the
    /// password that was wrong.
    pub async fn step(&mut self, users: &dyn Users, message: &[u8]) -> Result<Vec<u8>, &'static str> {
        let (next, answer) = match std::mem::replace(self, Self::Failed) {
            Self::Chosen { mechanism: Mechanism::Plain, .. } => {
                plain(users, message).await?;
                (Self::Done, Vec::new())
            }
            Self::Chosen { mechanism: Mechanism::Scram(hash), raw } => {
                let (first, challenge) = First::read(hash, message)?;
                (Self::Challenged { first: Box::new(first), raw }, challenge)
            }
            Self::Challenged { first, .. } => (Self::Done, first.check(users, message).await?),
            Self::Begin | Self::Done | Self::Failed => return Err("no authentication is under way"),
        };
        *self = next;
        Ok(answer)
    }
}

const WRONG: &str = "authentication failed: wrong name or password";

async fn plain(users: &dyn Users, message: &[u8]) -> Result<(), &'static str> {
    let mut parts = message.split(|b| *b == 0);
    let (Some(acts_for), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("authentication failed: not a PLAIN message");
    };
    if !acts_for.is_empty() && acts_for != name {
        return Err("authentication failed: nobody may act for somebody else");
    }
    let name = std::str::from_utf8(name).map_err(|_| WRONG)?;
    let known = users.password(name).await;
    // Hashes are compared, so that neither content nor length shows in the time it takes.
    let hash = |b: &[u8]| digest::digest(&digest::SHA256, b);
    let (given, wanted) = (hash(password), hash(known.as_deref().unwrap_or_default().as_bytes()));
    let same = bool::from(given.as_ref().ct_eq(wanted.as_ref()));
    if same && known.is_some_and(|k| !k.is_empty()) { Ok(()) } else { Err(WRONG) }
}
