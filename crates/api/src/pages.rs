//! Routes beside the clouds: health, metrics, report downloads.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use std::net::SocketAddr;

/// Body of a page: whole or streamed. A streamed body that fails breaks the connection.
pub type PageBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// One GET or HEAD request that belongs to no cloud. It can't be printed: path and query may hold a token.
#[derive(Clone)]
pub struct PageRequest {
    /// Path as received (percent-encoded).
    pub path: String,
    /// Query as received, without `?`.
    pub query: String,
    /// Request headers.
    pub headers: http::HeaderMap,
    /// The client's address.
    pub source: Option<SocketAddr>,
}

/// Pages beside the clouds' APIs. They are unsigned: whoever serves something private asks for a
/// token in path or query.
#[async_trait]
pub trait Pages: Send + Sync {
    /// The page, or `None` for 404. The body is dropped for HEAD.
    async fn get(&self, request: PageRequest) -> Option<http::Response<PageBody>>;
}

/// A whole body.
pub fn whole(body: impl Into<Bytes>) -> PageBody {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A page with a status, a content type and a whole body.
pub fn page(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> http::Response<PageBody> {
    let mut response = http::Response::new(whole(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::OK);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
