//! The socket side: accept, TLS, frames within bounds, names and passwords, and what is asked.

pub mod connection;
pub mod dispatch;
pub mod shape;
mod shapes;
#[cfg(test)]
mod tests;
