//! S3-compatible object stores: client, dialects, and the tree view of a bucket prefix.
