//! Directories of a POSIX file system as trees: walk, durable write, metadata.
