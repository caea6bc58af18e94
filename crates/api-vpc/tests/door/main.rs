//! The door as a client sees it: every action and every code that it gives.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test says what is wrong by panicking"
)]

mod logs;
mod refusals;
mod tables;
mod world;
