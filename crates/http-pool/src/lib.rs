//! HTTP/1.1 connections, with and without TLS, for connectors that talk to a server.
//!
//! [`Link`] is one connection. It has no task of its own: whoever waits for an answer polls the connection meanwhile, so
//! a request costs one wake-up per packet, and a dropped future closes its connection. [`Pool`] keeps the free
//! links to one [`Remote`] and makes a request from the first byte to the last of its answer, within limits of
//! time and size. [`retry`] says after how long a request is made again; whether it may be is the caller's business.
//!
//! [`ParcelSink`] is a record sink over requests that are accepted or refused as a whole: it forms them split by split, keeps one of a split on its
//! way, and halves what is refused until the guilty record is found. What a product wants is a [`Carrier`].
//!
//! `connector-object` uses the links with a pool of its own, because its bodies stream. The record sinks use [`Pool`].
//!
//! It knows no product, and it is no general client: no redirects, no cookies, no compression of answers, no HTTP/2. A secret is
//! a header value that is marked as sensitive; it does not print.

mod address;
mod link;
mod parcel;
mod pool;
pub mod retry;
mod room;
mod wire;

pub use address::{Address, tls_config};
pub use link::{Feed, Link, Nothing, Outgoing, Supplier};
pub use parcel::{Announcement, Carrier, Limits, Parcel, ParcelSink, Piece, Posted, Refusal};
pub use pool::{Answer, Call, Pool, Remote, basic};
pub use room::share;
pub use wire::{Wire, connect};
