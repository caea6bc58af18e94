//! The product's words and the model's: identifiers, paths, states, times, counters.
//!
//! Pure functions; whatever can be wrong in a request's text is found here and told in the vendor's
//! codes by [`crate::fault`].

pub mod attributes;
pub mod counts;
pub mod ids;
pub mod paths;
pub mod services;
pub mod states;
pub mod times;
