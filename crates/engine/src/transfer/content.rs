//! What a receipt can say of an item's content.

use connector::{Digest, Entry, EntryKind};

use super::Compare;
use crate::decide::Known;

/// What a run knows of the content of an item at the destination, for the receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Its digest: of what was written, of what an intact mark says was written, or as the store keeps it.
    Digest(Digest),
    /// The store's name of this very version (an ETag): unchanged as long as the name is.
    Version(Box<str>),
    /// Nothing but its size.
    Unknown,
}

impl Content {
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Digest(d) => Some(*d),
            _ => None,
        }
    }
}

impl From<Option<Digest>> for Content {
    fn from(digest: Option<Digest>) -> Self {
        digest.map_or(Self::Unknown, Self::Digest)
    }
}

/// What can be said of the content of something that was found the same and is left as it is. Nothing is
/// read for it: a link's target is known from either listing, a file's digest from our mark or the store,
/// and an object's version has a name. (A file's has one too, but every `chmod` gives it another.)
pub(super) fn left(source: &Entry, there: &Known, digest: Option<Digest>, compare: Compare) -> Content {
    let there = match there {
        Known::Seen(e, _) | Known::Listed(e) => Some(e),
        Known::Nothing | Known::Absent => None,
    };
    for e in there.into_iter().chain([source]) {
        if let EntryKind::Symlink { target } = &e.kind {
            return Content::Digest(Digest::of(target));
        }
    }
    match (digest, there.and_then(|e| e.version.clone())) {
        (Some(digest), _) => Content::Digest(digest),
        (None, Some(version)) if compare == Compare::Merge => Content::Version(version),
        _ => Content::Unknown,
    }
}
