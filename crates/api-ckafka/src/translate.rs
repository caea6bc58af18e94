//! The product's words and the model's, both ways.

pub mod attributes;
pub mod connects;
pub mod ends;
pub mod failures;
pub mod ids;
pub mod states;
pub mod tasks;
pub mod times;
pub mod transforms;
