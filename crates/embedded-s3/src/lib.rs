//! An S3 endpoint in the process, for the demo and tests only.
