//! Whose request is it?

use super::Refusal;
use crate::call::Cloud;
use crate::encode::has_name;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// From the head alone. Marks of a cloud go before paths: SDKs may send a prefix.
pub(super) fn by_head(head: &Parts) -> Option<Cloud> {
    let path = head.uri.path();
    if path == "/wharf/v1" || path.starts_with("/wharf/v1/") {
        return Some(Cloud::Operator);
    }
    let authorization = head.headers.get("authorization").map(HeaderValue::as_bytes).unwrap_or_default();
    let has = |name: &str| head.headers.contains_key(name);
    if has("x-tc-action")
        || has("x-tc-version")
        || has("x-tc-timestamp")
        || authorization.starts_with(b"TC3-")
    {
        return Some(Cloud::Tencent);
    }
    if has("x-acs-action") || has("x-acs-version") || authorization.starts_with(b"ACS3-") {
        return Some(Cloud::Alibaba);
    }
    by_params(head.uri.query().unwrap_or_default()).or_else(|| by_path(path))
}

/// From a form in the body, where the head says nothing.
pub(super) fn by_form(head: &Parts, body: &Bytes) -> Option<Cloud> {
    if !is_form(&head.headers) {
        return None;
    }
    by_params(std::str::from_utf8(body).ok()?)
}

fn by_params(params: &str) -> Option<Cloud> {
    if has_name(params, "SecretId") {
        return Some(Cloud::Tencent);
    }
    has_name(params, "AccessKeyId").then_some(Cloud::Alibaba)
}

fn by_path(path: &str) -> Option<Cloud> {
    (path.starts_with("/v2/") || path.starts_with("/v3/")).then_some(Cloud::Huawei)
}

/// Is the body an URL-encoded form?
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    super::header(headers, "content-type")
        .is_some_and(|t| t.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"))
}

/// The answer to a request that is nobody's.
pub(super) fn nothing_here() -> Response<Bytes> {
    plain(
        StatusCode::NOT_FOUND,
        "There is nothing here. This is Wharfinger, a data-flow server: point a Tencent Cloud, Alibaba Cloud or \
         Huawei Cloud SDK at this address, or use the `wharf` command.\n",
    )
}

/// The answer to a request that is refused before it is known whose it is.
pub(super) fn refused(refusal: Refusal) -> Response<Bytes> {
    match refusal {
        Refusal::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large\n"),
        Refusal::TooSlow => plain(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time\n"),
        Refusal::BrokenOff => plain(StatusCode::BAD_REQUEST, "the request body broke off\n"),
        Refusal::Busy => plain(StatusCode::SERVICE_UNAVAILABLE, "too many large requests at once\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
