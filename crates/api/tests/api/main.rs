//! The kit as a whole: captured requests of unmodified SDKs, refusals of every cloud, a real socket.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod kit;
mod refusals;
mod sdks;
mod socket;
mod vectors;
