//! SCRAM-SHA-256 and SCRAM-SHA-512. Source: RFC 5802 §3, §5; no channel binding.

use super::WRONG;
use crate::settings::Users;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use runtime::Random;
use std::num::NonZeroU32;
use subtle::ConstantTimeEq as _;

/// Rounds of hashing; Kafka's smallest, and its default.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);
const MALFORMED: &str = "authentication failed: not a SCRAM message";

/// Which hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Hash {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn salted(self, password: &str, salt: &[u8]) -> Vec<u8> {
        let (algorithm, n) = match self {
            Self::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            Self::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        };
        let mut out = vec![0; n];
        pbkdf2::derive(algorithm, ROUNDS, salt, password.as_bytes(), &mut out);
        out
    }

    fn digest(self, bytes: &[u8]) -> digest::Digest {
        digest::digest(if self == Self::Sha256 { &digest::SHA256 } else { &digest::SHA512 }, bytes)
    }

    fn sign(self, key: &[u8], text: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.hmac(), key), text)
    }
}

/// What was said before the proof.
#[derive(Debug)]
pub struct First {
    hash: Hash,
    name: String,
    bare: String,
    challenge: String,
    nonce: String,
    header: String,
    salt: [u8; 16],
}

impl First {
    /// Reads the client's first message and gives the challenge. An unknown name gets one as well.
    pub fn read(hash: Hash, message: &[u8]) -> Result<(Self, Vec<u8>), &'static str> {
        let message = std::str::from_utf8(message).map_err(|_| MALFORMED)?;
        let mut parts = message.splitn(3, ',');
        let (Some(binding), Some(acts_for), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(MALFORMED);
        };
        if !matches!(binding, "n" | "y") {
            return Err("authentication failed: channel binding is not supported");
        }
        let mut name = None;
        let mut nonce = None;
        for part in bare.split(',') {
            match part.split_once('=') {
                Some(("n", n)) => name = Some(n.replace("=2C", ",").replace("=3D", "=")),
                Some(("r", r)) => nonce = Some(r),
                Some(("m", _)) => return Err("authentication failed: an unknown mandatory extension"),
                _ => {}
            }
        }
        let (Some(name), Some(theirs)) = (name, nonce) else { return Err(MALFORMED) };
        let same =
            acts_for.strip_prefix("a=").is_none_or(|a| a.replace("=2C", ",").replace("=3D", "=") == name);
        if theirs.is_empty() || !same {
            return Err(MALFORMED);
        }
        let random = Random::system();
        let nonce = format!("{theirs}{}", random.alphanumeric(24));
        let salt: [u8; 16] = random.bytes();
        let challenge = format!("r={nonce},s={},i={ROUNDS}", STANDARD.encode(salt));
        let header = STANDARD.encode(format!("{binding},{acts_for},"));
        let bytes = challenge.clone().into_bytes();
        Ok((Self { hash, name, bare: bare.to_owned(), challenge, nonce, header, salt }, bytes))
    }

    /// Checks the client's proof and gives ours.
    pub async fn check(self, users: &dyn Users, message: &[u8]) -> Result<Vec<u8>, &'static str> {
        let message = std::str::from_utf8(message).map_err(|_| MALFORMED)?;
        let (before, proof) = message.rsplit_once(",p=").ok_or(MALFORMED)?;
        let proof = STANDARD.decode(proof).map_err(|_| MALFORMED)?;
        let mut parts = before.split(',');
        let (binding, nonce) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if binding.strip_prefix("c=") != Some(&self.header) || nonce.strip_prefix("r=") != Some(&self.nonce) {
            return Err(MALFORMED);
        }
        let text = format!("{},{},{before}", self.bare, self.challenge);
        let known = users.password(&self.name).await.filter(|p| !p.is_empty());
        let exists = known.is_some();
        let (hash, salt) = (self.hash, self.salt);
        // A few milliseconds of hashing, for unknown names too.
        let salted = runtime::blocking(move || hash.salted(&known.unwrap_or_default(), &salt)).await;
        let salted = salted.map_err(|_| WRONG)?;
        let client_key = hash.sign(&salted, b"Client Key");
        let stored = hash.digest(client_key.as_ref());
        let signature = hash.sign(stored.as_ref(), text.as_bytes());
        if proof.len() != signature.as_ref().len() {
            return Err(WRONG);
        }
        let shown: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let right = bool::from(hash.digest(&shown).as_ref().ct_eq(stored.as_ref()));
        if !(right && exists) {
            return Err(WRONG);
        }
        let server_key = hash.sign(&salted, b"Server Key");
        let ours = hash.sign(server_key.as_ref(), text.as_bytes());
        Ok(format!("v={}", STANDARD.encode(ours.as_ref())).into_bytes())
    }
}
