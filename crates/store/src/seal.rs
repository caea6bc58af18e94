//! Sealing: secrets at rest are readable only with the master key.
//!
//! ChaCha20-Poly1305 with a random 96-bit nonce per sealing (2³² sealings under one key keep the chance
//! of a repeated nonce below 2⁻³²; this server seals a few a minute). The purpose is bound in as
//! associated data, so that a sealed text can't be moved to another place and be opened there.
//! Format: `1` · nonce (12) · ciphertext and tag.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use model::Sealed;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use runtime::Random;

use crate::{Error, ErrorKind, Result};

const FORMAT: u8 = 1;
const KEY_LEN: usize = 32;

/// What a sealed text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The secret half of an account's access key.
    AccountSecret,
    /// A key or password for a source or destination: of a request, a flow or the catalogue.
    Credentials,
    /// The value that tells whether the master key is the right one.
    Check,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::AccountSecret => b"wharf/account-secret",
            Self::Credentials => b"wharf/credentials",
            Self::Check => b"wharf/check",
        }
    }
}

/// The master key. Cheap to clone, never printed.
#[derive(Clone)]
pub struct SealKey(Arc<Keys>);

struct Keys {
    aead: LessSafeKey,
    root: hkdf::Prk,
    random: Random,
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(…)")
    }
}

impl SealKey {
    /// From 32 raw bytes.
    ///
    /// # Errors
    /// `Key` when the library refuses it.
    pub fn new(bytes: &[u8; KEY_LEN]) -> Result<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes)
            .map_err(|_| bad_key("the master key can't be used"))?;
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"wharf/master").extract(bytes);
        Ok(Self(Arc::new(Keys { aead: LessSafeKey::new(key), root, random: Random::system() })))
    }

    /// From 64 hexadecimal digits (white space around them is taken off).
    ///
    /// # Errors
    /// `Key` when it is anything else. The message does not repeat the text.
    pub fn from_hex(hex: &str) -> Result<Self> {
        let bytes =
            decode_hex(hex.trim()).ok_or_else(|| bad_key("the master key must be 64 hexadecimal digits"))?;
        Self::new(&bytes)
    }

    /// Reads the key file; makes it (mode 0600, random key) when it is not there.
    ///
    /// # Errors
    /// `Key` when it can't be read or made, others may read it, or it does not hold a key.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let hex = Random::system().hex(KEY_LEN * 2);
                let written = file.write_all(hex.as_bytes()).and_then(|()| file.write_all(b"\n"));
                written.and_then(|()| file.sync_all()).map_err(|e| {
                    let _ = std::fs::remove_file(path);
                    bad_key(format!("the master key file {} can't be written: {e}", path.display()))
                })?;
                Self::from_hex(&hex)
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Self::load(path),
            Err(e) => Err(bad_key(format!("the master key file {} can't be made: {e}", path.display()))),
        }
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// As [`SealKey::load_or_create`].
    pub fn load(path: &Path) -> Result<Self> {
        let fail =
            |e: std::io::Error| bad_key(format!("the master key file {} can't be read: {e}", path.display()));
        let file = std::fs::File::open(path).map_err(fail)?;
        let mode = file.metadata().map_err(fail)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(bad_key(format!(
                "the master key file {} is open to others (mode {:03o}); make it 0600",
                path.display(),
                mode & 0o777
            )));
        }
        let mut text = String::new();
        file.take(1024).read_to_string(&mut text).map_err(fail)?;
        Self::from_hex(&text).map_err(|e| e.context(format!("the master key file {}", path.display())))
    }

    /// Seals a text.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, plain: &str) -> Sealed {
        let nonce: [u8; NONCE_LEN] = self.0.random.bytes();
        let mut body = plain.as_bytes().to_vec();
        let aad = Aad::from(purpose.label());
        let sealed =
            self.0.aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body);
        // Fails only for texts of more than 256 GiB; nothing unsealed may leave then.
        if sealed.is_err() {
            body.clear();
        }
        let mut out = Vec::with_capacity(1 + NONCE_LEN + body.len());
        out.push(FORMAT);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&body);
        Sealed(out)
    }

    /// Opens what was sealed for the same purpose.
    ///
    /// # Errors
    /// `Key` when it was sealed with another key or for another purpose, or was changed.
    pub fn open(&self, purpose: Purpose, sealed: &Sealed) -> Result<String> {
        let refuse = || {
            bad_key("a sealed secret can't be opened: it was sealed with another master key, or was changed")
        };
        let (&format, rest) = sealed.0.split_first().ok_or_else(refuse)?;
        if format != FORMAT {
            return Err(Error::new(
                ErrorKind::Version,
                format!("a sealed secret has the unknown format {format}"),
            ));
        }
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(refuse)?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain =
            self.0.aead.open_in_place(nonce, Aad::from(purpose.label()), &mut body).map_err(|_| refuse())?;
        String::from_utf8(plain.to_vec()).map_err(|_| refuse())
    }

    /// A key for message authentication, derived for one use (`"reports"`, `"page-token"`, …).
    #[must_use]
    pub fn mac_key(&self, usage: &str) -> hmac::Key {
        let info = [b"wharf/mac/", usage.as_bytes()];
        let mut bytes = [0; KEY_LEN];
        let filled = self.0.root.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut bytes));
        // Can't fail: the output is as long as the hash. A key of zeros must never be used all the same.
        if filled.is_err() {
            bytes = self.0.random.bytes();
        }
        hmac::Key::new(hmac::HMAC_SHA256, &bytes)
    }
}

fn bad_key(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Key, message)
}

fn decode_hex(text: &str) -> Option<[u8; KEY_LEN]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == KEY_LEN * 2 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> SealKey {
        SealKey::new(&[n; 32]).unwrap()
    }

    #[test]
    fn only_the_same_key_and_purpose_open_a_seal() {
        let s = key(1).seal(Purpose::Credentials, "hush");
        assert_eq!(key(1).open(Purpose::Credentials, &s).unwrap(), "hush");
        assert_eq!(key(2).open(Purpose::Credentials, &s).unwrap_err().kind(), ErrorKind::Key);
        assert_eq!(key(1).open(Purpose::AccountSecret, &s).unwrap_err().kind(), ErrorKind::Key);
        assert!(!s.0.windows(4).any(|w| w == b"hush"));
        for i in 0..s.0.len() {
            let mut t = s.clone();
            t.0[i] ^= 1;
            assert!(key(1).open(Purpose::Credentials, &t).is_err());
            assert!(key(1).open(Purpose::Credentials, &Sealed(s.0[..i].to_vec())).is_err());
        }
        assert_ne!(s, key(1).seal(Purpose::Credentials, "hush"), "nonces differ");
    }

    #[test]
    fn a_key_file_is_made_once_and_refused_when_others_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let made = SealKey::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let s = made.seal(Purpose::Check, "x");
        assert_eq!(SealKey::load_or_create(&path).unwrap().open(Purpose::Check, &s).unwrap(), "x");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let e = SealKey::load_or_create(&path).unwrap_err();
        assert!(e.to_string().contains("open to others (mode 640)"), "{e}");
    }

    #[test]
    fn keys_never_print_and_bad_hex_is_refused() {
        assert_eq!(format!("{:?}", key(1)), "SealKey(…)");
        for bad in ["", "abc", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66)] {
            assert_eq!(SealKey::from_hex(bad).unwrap_err().kind(), ErrorKind::Key);
        }
        assert!(SealKey::from_hex(&format!(" {}\n", "aB".repeat(32))).is_ok());
    }
}
