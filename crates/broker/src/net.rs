//! The socket side: accept, TLS, frames within bounds, names and passwords, and what is asked.

pub mod connection;
pub mod dispatch;
pub mod seen;
pub mod shape;
mod shapes;
#[cfg(test)]
mod tests;
