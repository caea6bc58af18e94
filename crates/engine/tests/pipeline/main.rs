//! Pipelines from a log in memory to a table in memory: what can go wrong, one thing at a time and all at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_imports, missing_docs)]

mod aside;
mod cases;
mod desk;
mod log;
mod model_test;
mod real;
mod table;
mod world;
