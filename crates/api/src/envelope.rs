//! The clouds' envelopes, to the letter.
//!
//! Tencent's SDKs take an error for success when the content type has a charset, and want HTTP 200 for
//! everything; Alibaba's want a flat object; Huawei's disagree with each other, so theirs gets every
//! name for the same thing.

use crate::call::{Cloud, Fault, Reply};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

/// What an envelope needs to know of its request.
#[derive(Debug, Clone, Default)]
pub struct Wrapping {
    /// The request's id.
    pub request_id: String,
    /// `Host` of the request (Alibaba's `HostId`).
    pub host: String,
    /// Base URL of Alibaba's `Recommend`.
    pub recommend: String,
}

/// A cloud's answer to a call.
#[must_use]
pub fn answer(cloud: Cloud, outcome: &Result<Reply, Fault>, wrapping: &Wrapping) -> Response<Bytes> {
    match (cloud, outcome) {
        (_, Ok(Reply::Noted { reply, header, value })) => {
            let mut response = answer(cloud, &Ok((**reply).clone()), wrapping);
            put(&mut response, header, value);
            response
        }
        (_, Ok(Reply::Rest { status, content_type, body })) => {
            rest(cloud, *status, content_type, body, wrapping)
        }
        (Cloud::Tencent | Cloud::Operator, Ok(reply)) => {
            let mut out = Vec::with_capacity(256);
            out.extend_from_slice(b"{\"Response\":");
            with_id(&mut out, reply, &wrapping.request_id);
            out.push(b'}');
            respond(cloud, 200, out, wrapping)
        }
        (Cloud::Tencent | Cloud::Operator, Err(fault)) => {
            let error = json!({"Code": fault.code, "Message": fault.message});
            let body = json!({"Response": {"Error": error, "RequestId": wrapping.request_id}});
            respond(cloud, 200, body.to_string().into_bytes(), wrapping)
        }
        (Cloud::Alibaba, Ok(reply)) => {
            let mut out = Vec::with_capacity(256);
            with_id(&mut out, reply, &wrapping.request_id);
            respond(cloud, 200, out, wrapping)
        }
        (Cloud::Alibaba, Err(fault)) => alibaba_error(fault, wrapping),
        (Cloud::Huawei, Ok(Reply::Fields(fields))) => respond(cloud, 200, json_of(fields), wrapping),
        (Cloud::Huawei, Ok(Reply::Raw(text))) => respond(cloud, 200, text.clone(), wrapping),
        (Cloud::Huawei, Err(fault)) => {
            let body = json!({"error_code": fault.code, "error_msg": fault.message,
                "errorCode": fault.code, "message": fault.message});
            respond(cloud, fault.http, body.to_string().into_bytes(), wrapping)
        }
    }
}

fn alibaba_error(fault: &Fault, wrapping: &Wrapping) -> Response<Bytes> {
    let recommend = match wrapping.recommend.as_str() {
        "" => String::new(),
        base => format!("{base}?q={}&requestId={}", fault.code, wrapping.request_id),
    };
    let body = json!({"RequestId": wrapping.request_id, "HostId": wrapping.host, "Code": fault.code,
        "Message": fault.message, "Recommend": recommend});
    let mut response = respond(Cloud::Alibaba, fault.http, body.to_string().into_bytes(), wrapping);
    if let Some(ms) = fault.retry_after_ms {
        put(&mut response, "x-acs-retry-after", &ms.to_string());
    }
    response
}

fn rest(
    cloud: Cloud,
    status: u16,
    content_type: &'static str,
    body: &Bytes,
    wrapping: &Wrapping,
) -> Response<Bytes> {
    let mut response = respond(cloud, status, Vec::new(), wrapping);
    *response.body_mut() = body.clone();
    if body.is_empty() {
        response.headers_mut().remove(CONTENT_TYPE);
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

/// Writes the reply's object with `RequestId` as its last field.
fn with_id(out: &mut Vec<u8>, reply: &Reply, request_id: &str) {
    let start = out.len();
    match reply {
        Reply::Fields(fields) => out.extend_from_slice(&json_of(fields)),
        Reply::Raw(text) => out.extend_from_slice(text.trim_ascii()),
        Reply::Rest { .. } | Reply::Noted { .. } => {}
    }
    if out.len() < start + 2 || out.last() != Some(&b'}') {
        out.truncate(start);
        out.extend_from_slice(b"{}");
    }
    out.pop();
    if out[start + 1..].iter().any(|b| !b.is_ascii_whitespace()) {
        out.push(b',');
    }
    out.extend_from_slice(b"\"RequestId\":\"");
    // Our own ids: hex digits and dashes.
    out.extend_from_slice(request_id.as_bytes());
    out.extend_from_slice(b"\"}");
}

fn json_of(fields: &Map<String, Value>) -> Vec<u8> {
    serde_json::to_vec(fields).unwrap_or_else(|_| b"{}".to_vec())
}

fn respond(cloud: Cloud, status: u16, body: Vec<u8>, wrapping: &Wrapping) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (content_type, id_header) = match cloud {
        Cloud::Tencent | Cloud::Operator => ("application/json", None),
        Cloud::Alibaba => ("application/json;charset=utf-8", Some("x-acs-request-id")),
        Cloud::Huawei => ("application/json", Some("x-request-id")),
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(name) = id_header {
        put(&mut response, name, &wrapping.request_id);
    }
    response
}

fn put(response: &mut Response<Bytes>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "reads better")]
    fn text(cloud: Cloud, outcome: Result<Reply, Fault>) -> String {
        let w = Wrapping { request_id: "id-1".into(), host: "h:1".into(), recommend: String::new() };
        String::from_utf8(answer(cloud, &outcome, &w).into_body().to_vec()).unwrap()
    }

    #[test]
    fn successes() {
        let reply = || Reply::from(json!({"TaskId":"t"}));
        assert_eq!(text(Cloud::Tencent, Ok(reply())), r#"{"Response":{"TaskId":"t","RequestId":"id-1"}}"#);
        assert_eq!(text(Cloud::Alibaba, Ok(reply())), r#"{"TaskId":"t","RequestId":"id-1"}"#);
        assert_eq!(text(Cloud::Huawei, Ok(reply())), r#"{"TaskId":"t"}"#);
        assert_eq!(text(Cloud::Alibaba, Ok(Reply::empty())), r#"{"RequestId":"id-1"}"#);
        assert_eq!(
            text(Cloud::Tencent, Ok(Reply::Raw(b" { } ".to_vec()))),
            r#"{"Response":{ "RequestId":"id-1"}}"#
        );
        assert_eq!(
            text(Cloud::Alibaba, Ok(Reply::Raw(br#"{"a":1}"#.to_vec()))),
            r#"{"a":1,"RequestId":"id-1"}"#
        );
        assert_eq!(text(Cloud::Alibaba, Ok(Reply::Raw(b"}".to_vec()))), r#"{"RequestId":"id-1"}"#);
    }

    #[test]
    fn errors_and_headers() {
        let w = Wrapping { request_id: "ID".into(), host: "h".into(), recommend: "http://x/".into() };
        let r = answer(Cloud::Tencent, &Err(Fault::new(500, "InternalError", "m\"")), &w);
        assert_eq!(
            (r.status().as_u16(), r.headers()[CONTENT_TYPE].to_str().unwrap()),
            (200, "application/json")
        );
        assert_eq!(
            r.body(),
            r#"{"Response":{"Error":{"Code":"InternalError","Message":"m\""},"RequestId":"ID"}}"#
        );
        let r = answer(Cloud::Alibaba, &Err(Fault::new(429, "Throttling.User", "m").retry_after(250)), &w);
        assert_eq!(r.headers()["x-acs-retry-after"], "250");
        assert_eq!(r.headers()["x-acs-request-id"], "ID");
        let v: Value = serde_json::from_slice(r.body()).unwrap();
        assert_eq!(v["Recommend"], "http://x/?q=Throttling.User&requestId=ID");
        let r = answer(Cloud::Huawei, &Err(Fault::new(404, "APIGW.0101", "no")), &w);
        let v: Value = serde_json::from_slice(r.body()).unwrap();
        assert_eq!(
            (&v["error_code"], &v["errorCode"], &v["message"]),
            (&v["errorCode"], &v["error_code"], &v["error_msg"])
        );
        let noted = Reply::from(json!({"a": 1})).with_header("x-wharf-note", "n".to_owned());
        let r = answer(Cloud::Alibaba, &Ok(noted), &w);
        assert_eq!(
            (r.headers()["x-wharf-note"].to_str().unwrap(), &r.body()[..]),
            ("n", &br#"{"a":1,"RequestId":"ID"}"#[..])
        );
        let r =
            answer(Cloud::Huawei, &Ok(Reply::Rest { status: 204, content_type: "", body: Bytes::new() }), &w);
        assert!(r.status() == 204 && !r.headers().contains_key(CONTENT_TYPE));
    }
}
