//! Errors of the `iceberg` crate as the connector's own, and back.
//!
//! An error of ours that went through the crate (from our storage, inside of its writers) is found again in the chain of causes, so that
//! its kind is not lost.

use std::error::Error as StdError;

use connector::{Error, ErrorKind};

/// Our error for the crate.
pub(crate) fn wrap(e: Error) -> iceberg::Error {
    iceberg::Error::new(iceberg::ErrorKind::Unexpected, e.to_string()).with_source(e)
}

/// The crate's error for us; `what` was being done.
#[allow(clippy::needless_pass_by_value, reason = "it goes where errors are mapped")]
pub(crate) fn unwrap(e: iceberg::Error, what: &str) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&e);
    while let Some(c) = cause {
        if let Some(ours) = c.downcast_ref::<Error>() {
            return Error::new(ours.kind(), ours.to_string()).context(what);
        }
        cause = c.source();
    }
    let kind = match e.kind() {
        iceberg::ErrorKind::NamespaceNotFound | iceberg::ErrorKind::TableNotFound => ErrorKind::NotFound,
        iceberg::ErrorKind::TableAlreadyExists | iceberg::ErrorKind::NamespaceAlreadyExists => {
            ErrorKind::Exists
        }
        iceberg::ErrorKind::CatalogCommitConflicts => ErrorKind::Changed,
        iceberg::ErrorKind::FeatureUnsupported => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    };
    Error::new(kind, e.message().to_owned()).context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_kind_comes_back() {
        let e = unwrap(wrap(Error::new(ErrorKind::Full, "no room")), "write a file");
        assert_eq!((e.kind(), e.to_string()), (ErrorKind::Full, "write a file: no room".to_owned()));
        let parquet =
            parquet::errors::ParquetError::External(Box::new(wrap(Error::new(ErrorKind::Denied, "no"))));
        let outer = iceberg::Error::new(iceberg::ErrorKind::Unexpected, "write").with_source(parquet);
        assert_eq!(unwrap(outer, "x").kind(), ErrorKind::Denied);
        let theirs = iceberg::Error::new(iceberg::ErrorKind::TableNotFound, "t");
        assert_eq!(unwrap(theirs, "x").kind(), ErrorKind::NotFound);
    }
}
