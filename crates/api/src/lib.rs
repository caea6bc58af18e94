//! HTTP kit for all doors: cloud routing, signatures, replay and rate guards, codecs, envelopes.
//!
//! One listener speaks to the unmodified SDKs of three clouds and to our own operator. The request
//! itself says whose it is:
//!
//! | cloud | how it is known | envelope |
//! |---|---|---|
//! | Tencent | `X-TC-*` headers, a `TC3-…` authorization, or `SecretId` among query or form | HTTP 200, `{"Response":{…}}` |
//! | Alibaba | `x-acs-*` headers, an `ACS3-…` authorization, or `AccessKeyId` among query or form | HTTP status, flat JSON |
//! | Huawei | path `/v2/…` or `/v3/…` | HTTP status, `error_code` and its aliases |
//! | Operator | path `/wharf/v1/…`, signed by TC3 for service `wharf`, the action signed too | Tencent's |
//!
//! # Reading order
//! [`call`] has what a door sees: [`Door`], [`Call`], [`Reply`], [`Fault`]. [`field`] has the tables
//! in which a door declares its fields; they decode, refuse and document. [`account`] is the one thing
//! that the kit asks of the outside. [`gate`] admits a request (route, verify, guard) and answers it;
//! [`server`] is the socket around it. [`sign`] has both sides of every signature scheme.
//!
//! # What it is not
//! It knows nothing of flows, tasks, stores or any one product: no field, no error code of a
//! particular service stands here, only the codes that a cloud's gateway itself gives.
//!
//! # Replays, said plainly
//! Alibaba's nonces and Tencent v1's `(SecretId, Nonce, Timestamp)` are remembered for as long as the
//! clock skew would let a request pass again (bounded, and never by forgetting too early: see
//! [`guard`]). TC3 and Huawei's schemes have no nonce, and their SDKs repeat identical bytes when a
//! connection breaks: an identical request is let through inside the window by the protocol's own
//! design. Tencent's SDKs moreover sign neither action nor version nor region: whoever can read and
//! change the traffic can point a signed body at another action of the same service (the Node SDK signs no
//! service either, unless the endpoint begins with it: at another action of any). TLS is the answer
//! to that; only the operator's door demands a signed action. What must not happen twice is protected by the product's own idempotence, not here.

pub mod account;
pub mod call;
pub mod encode;
pub mod envelope;
pub mod field;
pub mod flatten;
pub mod gate;
pub mod guard;
pub mod pages;
pub mod server;
pub mod sign;

pub use account::{AccountKey, Accounts, AccountsError, CachedAccounts, Caller, Secret};
pub use call::{Call, Cloud, Door, Fault, Outcome, Reply};
pub use field::{Field, FieldProblem, How, Operation, Params, Problem, Ty, decode};
pub use gate::{Gate, GateConfig, Limits};
pub use pages::{PageBody, PageRequest, Pages};
pub use server::{Server, ServerConfig};
