//! Socket.
