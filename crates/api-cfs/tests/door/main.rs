//! The door as a client sees it: every action and every code that it gives.
#![allow(missing_docs)]

mod flows;
mod lifecycle;
mod lookups;
mod migration;
mod tables;
mod world;
