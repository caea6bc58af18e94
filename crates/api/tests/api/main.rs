//! The kit as a whole: captured requests of unmodified SDKs, refusals of every cloud, a real socket.

mod kit;
mod refusals;
mod socket;
mod vectors;
