//! What the two arguments of `wharf copy` may be, and where keys come from.

use std::fmt;
use std::path::PathBuf;

use connector::TreePath;
use connector_object::{Credentials, Secret};

/// One end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket prefix, or one object.
    Bucket {
        /// Bucket.
        bucket: String,
        /// What follows it, as it was written: with `/` at its end (or empty) it can only be a prefix.
        key: String,
    },
}

impl Location {
    /// `s3://bucket[/prefix/ or /key]` or a path.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("s3://") else {
            if text.is_empty() {
                return Err("an empty path is no directory".to_owned());
            }
            if let Some((scheme, _)) = text.split_once("://") {
                return Err(format!("`{scheme}://` is not known; use s3://bucket/prefix/ or a path"));
            }
            return Ok(Self::Directory(PathBuf::from(text)));
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let fine = (1..=255).contains(&bucket.len())
            && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !fine {
            return Err(format!("`{bucket}` is no bucket name"));
        }
        let key = key.trim_start_matches('/');
        Ok(Self::Bucket { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// Whether it was written as something that holds others: `/` at its end, or a bare bucket.
    pub fn is_folder(&self) -> bool {
        match self {
            Self::Directory(path) => path.as_os_str().as_encoded_bytes().ends_with(b"/"),
            Self::Bucket { key, .. } => key.is_empty() || key.ends_with('/'),
        }
    }

    /// What holds it, and its name there; `None` for what can't be one file or object.
    pub fn split(&self) -> Option<(Self, TreePath)> {
        match self {
            Self::Directory(path) => {
                let (parent, name) = (path.parent()?, path.file_name()?);
                let parent =
                    if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() };
                Some((Self::Directory(parent), TreePath::new(name.as_encoded_bytes()).ok()?))
            }
            Self::Bucket { bucket, key } => {
                let at = key.rfind('/').map_or(0, |i| i + 1);
                let (prefix, name) = key.split_at(at);
                let name = TreePath::new(name.as_bytes()).ok()?;
                Some((Self::Bucket { bucket: bucket.clone(), key: prefix.to_owned() }, name))
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Bucket { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

/// The first of these variables that is set and not empty.
pub fn first_env(names: &[&str]) -> Option<String> {
    names.iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()))
}

/// Keys as the AWS tools find them: environment, then the shared credentials file; `None` = unsigned.
pub fn credentials(profile: &str) -> Result<Option<Credentials>, String> {
    if let Some(access_key) = first_env(&["AWS_ACCESS_KEY_ID"]) {
        let secret = first_env(&["AWS_SECRET_ACCESS_KEY"])
            .ok_or("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not")?;
        let session_token = first_env(&["AWS_SESSION_TOKEN"]).map(Secret::new);
        return Ok(Some(Credentials {
            access_key: access_key.into(),
            secret_key: Secret::new(secret),
            session_token,
        }));
    }
    let file = first_env(&["AWS_SHARED_CREDENTIALS_FILE"])
        .map(PathBuf::from)
        .or_else(|| first_env(&["HOME"]).map(|h| PathBuf::from(h).join(".aws/credentials")));
    let Some(text) = file.and_then(|f| std::fs::read_to_string(f).ok()) else {
        return if profile == "default" {
            Ok(None)
        } else {
            Err(format!("profile `{profile}`: no credentials file"))
        };
    };
    match from_profile(&text, profile) {
        Some(c) => Ok(Some(c)),
        None if profile == "default" => Ok(None),
        None => Err(format!("the credentials file has no complete profile `{profile}`")),
    }
}

fn from_profile(text: &str, profile: &str) -> Option<Credentials> {
    let mut inside = false;
    let (mut key, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            inside = name.trim() == profile;
        } else if inside && let Some((name, value)) = line.split_once('=') {
            let value = value.trim();
            match name.trim() {
                "aws_access_key_id" => key = Some(value.into()),
                "aws_secret_access_key" => secret = Some(Secret::new(value)),
                "aws_session_token" => token = Some(Secret::new(value)),
                _ => {}
            }
        }
    }
    Some(Credentials { access_key: key?, secret_key: secret?, session_token: token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_understood() {
        let bucket = |b: &str, k: &str| Ok(Location::Bucket { bucket: b.into(), key: k.into() });
        assert_eq!(Location::parse("s3://b"), bucket("b", ""));
        assert_eq!(Location::parse("s3://b/a/c"), bucket("b", "a/c"));
        assert_eq!(Location::parse("s3://b//a/"), bucket("b", "a/"));
        assert_eq!(Location::parse("dir/x"), Ok(Location::Directory("dir/x".into())));
        assert!(
            Location::parse("gs://b").is_err()
                && Location::parse("s3://").is_err()
                && Location::parse("").is_err()
        );
    }

    #[test]
    fn a_file_or_object_is_told_from_what_holds_it() {
        let split = |text| {
            let (parent, name) = Location::parse(text).unwrap().split()?;
            Some((parent.to_string(), name.display()))
        };
        assert_eq!(split("s3://b/a/c"), Some(("s3://b/a/".into(), "c".into())));
        assert_eq!(split("s3://b/c"), Some(("s3://b/".into(), "c".into())));
        assert_eq!(split("a/c"), Some(("a".into(), "c".into())));
        assert_eq!(split("c"), Some((".".into(), "c".into())));
        for none in ["s3://b", "s3://b/a/", "s3://b/a/..", "..", "/"] {
            assert_eq!(split(none), None, "{none}");
        }
        let folder = |text| Location::parse(text).unwrap().is_folder();
        assert!(
            folder("s3://b") && folder("s3://b/a/") && folder("a/") && !folder("s3://b/a") && !folder("a")
        );
    }

    #[test]
    fn a_profile_is_found_and_does_not_print() {
        let text = "[default]\naws_access_key_id = A\n\n[other]\naws_access_key_id=B\naws_secret_access_key = hush\n";
        assert!(from_profile(text, "default").is_none());
        let c = from_profile(text, "other").unwrap();
        assert_eq!(&*c.access_key, "B");
        assert!(!format!("{c:?}").contains("hush"));
    }
}
