//! Pipelines from a log in memory to a table in memory: what can go wrong, one thing at a time and all at once.

mod cases;
mod desk;
mod log;
mod model_test;
mod table;
mod world;
