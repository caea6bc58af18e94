//! What the two arguments of `wharf copy` may be, and where keys come from.

use std::path::PathBuf;

use connector_object::{Credentials, Secret};

/// One end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket prefix.
    Bucket {
        /// Bucket.
        bucket: String,
        /// Empty, or ends with `/`.
        prefix: String,
    },
}

impl Location {
    /// `s3://bucket[/prefix]` or a path. A prefix means a directory: `/` is added where it is missing.
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
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fine = (1..=255).contains(&bucket.len())
            && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !fine {
            return Err(format!("`{bucket}` is no bucket name"));
        }
        let mut prefix = prefix.to_owned();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix })
    }
}

impl Location {
    /// A source that is one local file: its directory, and its name as the only entry.
    pub fn single_file(self) -> (Self, Option<Vec<u8>>) {
        use std::os::unix::ffi::OsStrExt as _;
        let Self::Directory(path) = &self else { return (self, None) };
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if path.is_file() => {
                let parent =
                    if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() };
                let name = name.as_bytes().to_vec();
                (Self::Directory(parent), Some(name))
            }
            _ => (self, None),
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
        let bucket = |b: &str, p: &str| Ok(Location::Bucket { bucket: b.into(), prefix: p.into() });
        assert_eq!(Location::parse("s3://b"), bucket("b", ""));
        assert_eq!(Location::parse("s3://b/a/c"), bucket("b", "a/c/"));
        assert_eq!(Location::parse("dir/x"), Ok(Location::Directory("dir/x".into())));
        assert!(
            Location::parse("gs://b").is_err()
                && Location::parse("s3://").is_err()
                && Location::parse("").is_err()
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
