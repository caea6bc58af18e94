//! The two products behind one API, and what each version of them has.

use api::Fault;
use model::{FileSystem, MetadataDialect, Product};

use crate::fault;

/// Which CPFS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// General-purpose CPFS, `cpfs-…`: flows bind a fileset to a whole bucket.
    General,
    /// CPFS for Lingjun, `bmcpfs-…`: flows bind a directory to a prefix.
    Lingjun,
}

/// What an operation needs of a file system's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Flows and batch tasks.
    DataFlow,
    /// Streaming tasks, `CreateDirIfNotExist`, buckets of other accounts (Lingjun).
    Streaming,
    /// Filesets.
    Filesets,
}

/// A file system that this door shows.
#[derive(Debug, Clone)]
pub struct Cpfs {
    /// Catalogue entry.
    pub fs: FileSystem,
    /// Product.
    pub family: Family,
}

impl Cpfs {
    /// Takes a catalogue entry if it is one of ours: product and id must agree.
    #[must_use]
    pub fn new(fs: FileSystem) -> Option<Self> {
        let family = match fs.product {
            Product::CpfsGeneral if fs.id.as_str().starts_with("cpfs-") => Family::General,
            Product::CpfsLingjun if fs.id.as_str().starts_with("bmcpfs-") => Family::Lingjun,
            _ => return None,
        };
        Some(Self { fs, family })
    }

    /// Is it CPFS for Lingjun?
    #[must_use]
    pub fn is_lingjun(&self) -> bool {
        self.family == Family::Lingjun
    }

    /// Refuses what the file system's version does not have.
    ///
    /// # Errors
    /// `InvalidFilesystemVersion.NotSupport`.
    pub fn require(&self, feature: Feature) -> Result<(), Fault> {
        let least = match (self.family, feature) {
            (Family::General, _) => [2, 2, 0],
            (Family::Lingjun, Feature::DataFlow) => [2, 4, 0],
            (Family::Lingjun, Feature::Streaming) => [2, 6, 0],
            (Family::Lingjun, Feature::Filesets) => [2, 7, 0],
        };
        if version(&self.fs.version) >= least { Ok(()) } else { Err(fault::version_not_supported()) }
    }

    /// Refuses operations that only general-purpose CPFS has.
    ///
    /// # Errors
    /// `OperationDenied.DataFlowNotSupported`.
    pub fn general_only(&self) -> Result<(), Fault> {
        match self.family {
            Family::General => Ok(()),
            Family::Lingjun => Err(fault::not_supported("CPFS for Lingjun has no such operation")),
        }
    }

    /// Refuses operations that only CPFS for Lingjun has.
    ///
    /// # Errors
    /// `OperationDenied.DataFlowNotSupported`.
    pub fn lingjun_only(&self) -> Result<(), Fault> {
        match self.family {
            Family::Lingjun => Ok(()),
            Family::General => Err(fault::not_supported("general-purpose CPFS has no such operation")),
        }
    }

    /// Metadata words on objects.
    #[must_use]
    pub fn dialect(&self) -> MetadataDialect {
        match self.family {
            Family::General => MetadataDialect::AlibabaGeneral,
            Family::Lingjun => MetadataDialect::AlibabaLingjun,
        }
    }
}

/// `2.7.0`, `v2.7`, `2.7.0-beta`: the leading numbers, missing ones are 0.
fn version(text: &str) -> [u32; 3] {
    let mut out = [0; 3];
    let digits = text.trim_start_matches(['v', 'V']);
    for (slot, part) in out.iter_mut().zip(digits.split('.')) {
        let number: String = part.chars().take_while(char::is_ascii_digit).collect();
        *slot = number.parse().unwrap_or(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(version("2.10.0") > version("2.9.9"));
        assert_eq!(version("v2.7"), [2, 7, 0]);
        assert_eq!(version("nonsense"), [0, 0, 0]);
        assert_eq!(version("2.7.0-beta"), [2, 7, 0]);
    }
}
