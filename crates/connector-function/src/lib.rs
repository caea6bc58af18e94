//! Records into functions that are called over HTTP (Tencent SCF and whatever takes a POST).
//!
//! **The call.** `POST` of up to `batch_records` records of one partition, in the form of SCF's CKafka trigger, so that a function written for
//! that trigger runs unchanged:
//! ```json
//! {"Records":[{"Ckafka":{"topic":"t","partition":0,"offset":42,"msgKey":"k","msgBody":"text","timestamp":1700000000000,
//!   "headers":[{"key":"h","value":"v"}]}}]}
//! ```
//! Beyond the trigger's five fields there are the time, the headers (absent where there are none), `sub` where a transform made several records of one,
//! and `msgKeyEncoding`, `msgBodyEncoding` with the value `base64` where bytes are not UTF-8. A missing key or body is `null`. The names of
//! the function go into the URL where it says `{function}`, `{namespace}`, `{qualifier}`, and into the headers
//! `X-Function-Name`, `X-Function-Namespace`, `X-Function-Qualifier`. A secret goes out as `Authorization: Bearer`.
//!
//! **Delivery: at least once.** A call that fails (5xx, 408, 429, no answer within `timeout_s`, a connection that broke) is made again up to `retries`
//! times with growing pauses, then the run of the lane ends and begins again later from the journal. The function may
//! see records again; topic, partition, offset and sub identify them.
//!
//! **Order.** A partition has one call under way; partitions are independent.
//!
//! **Refusals.** A 4xx answer (but 401, 403 and 404, which end the run) means that the function will not have these records: the batch is halved
//! until the guilty record stands alone, and that is refused with the function's words. So the good records of such a batch may be seen
//! more than once.
//!
//! **Memory.** One batch of `batch_bytes` for each partition that is being filled and each of the calls under way (`in_flight`);
//! smaller ones where the byte budget is short.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use bytes::Bytes;
use connector::records::{Context, Endpoint, Problem, RecordRef, RecordSink, SharedHost, Split};
use connector::{Error, ErrorKind, Result};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use http_pool::{
    Address, Answer, Call, Carrier, Limits, Parcel, ParcelSink, Pool, Posted, Refusal, Remote, tls_config,
};
use json_text::push_string;
use serde::Deserialize;

/// How long [`probe`] may take.
const PROBE: Duration = Duration::from_secs(5);
/// Of an answer not more than this is read.
const MAX_ANSWER: usize = 8 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionText {
    url: String,
    ca_pem: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SinkText {
    function: String,
    #[serde(default = "namespace")]
    namespace: String,
    #[serde(default = "qualifier")]
    qualifier: String,
    #[serde(default = "batch_records")]
    batch_records: usize,
    #[serde(default = "batch_bytes")]
    batch_bytes: usize,
    #[serde(default = "linger_ms")]
    linger_ms: u64,
    #[serde(default = "retries")]
    retries: u32,
    #[serde(default = "timeout_s")]
    timeout_s: u64,
    #[serde(default = "in_flight")]
    in_flight: usize,
}

fn namespace() -> String {
    "default".to_owned()
}

fn qualifier() -> String {
    "$DEFAULT".to_owned()
}

fn batch_records() -> usize {
    1000
}

/// A synchronous call takes 6 MB.
fn batch_bytes() -> usize {
    4 << 20
}

fn linger_ms() -> u64 {
    500
}

fn retries() -> u32 {
    5
}

fn timeout_s() -> u64 {
    60
}

fn in_flight() -> usize {
    8
}

fn problem(field: &str, reason: impl Into<String>) -> Problem {
    Problem { field: field.to_owned(), reason: reason.into() }
}

/// What is wrong with a connection; nothing is reached for.
#[must_use]
pub fn check_connection(connection: &str) -> Vec<Problem> {
    let text: ConnectionText = match serde_json::from_str(connection) {
        Ok(text) => text,
        Err(e) => return vec![problem("connection", e.to_string())],
    };
    let mut problems = Vec::new();
    if let Err(p) = Address::parse(&fill(&text.url, ["f"; 3])) {
        problems.push(problem("url", p.strip_prefix("url: ").unwrap_or(&p)));
    }
    if let Err(p) = tls_config(text.ca_pem.as_deref().map(str::as_bytes)) {
        problems.push(problem("ca_pem", p.strip_prefix("ca: ").unwrap_or(&p)));
    }
    problems
}

/// What is wrong with the options of a sink; nothing is reached for.
#[must_use]
pub fn check_sink(options: &str) -> Vec<Problem> {
    let text: SinkText = match serde_json::from_str(options) {
        Ok(text) => text,
        Err(e) => return vec![problem("options", e.to_string())],
    };
    let mut problems = Vec::new();
    for (field, value) in
        [("function", &text.function), ("namespace", &text.namespace), ("qualifier", &text.qualifier)]
    {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'$' | b'.');
        if value.is_empty() || value.len() > 128 || !value.bytes().all(plain) {
            problems.push(problem(field, "must have 1 to 128 letters, digits, - _ . or $"));
        }
    }
    let mut range = |field: &str, value: u64, least: u64, most: u64| {
        if !(least..=most).contains(&value) {
            problems.push(problem(field, format!("must be between {least} and {most}")));
        }
    };
    range("batch_records", text.batch_records as u64, 1, 100_000);
    range("batch_bytes", text.batch_bytes as u64, 1024, 100 << 20);
    range("linger_ms", text.linger_ms, 0, 600_000);
    range("retries", u64::from(text.retries), 0, 100);
    range("timeout_s", text.timeout_s, 1, 900);
    range("in_flight", text.in_flight as u64, 1, 64);
    problems
}

/// Is the function's server there? The function itself is not called.
///
/// # Errors
/// `Unavailable`, or `Unsupported` with all problems of the texts.
pub async fn probe(endpoint: &Endpoint) -> Result<()> {
    let (remote, _) = read(endpoint)?;
    let address = &remote.address;
    let connecting = http_pool::connect(&address.host, address.port, remote.tls.as_ref());
    match tokio::time::timeout(PROBE, connecting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => {
            Err(Error::new(ErrorKind::Unavailable, format!("connecting to {}: {e}", address.authority)))
        }
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!("connecting to {} took too long", address.authority),
        )),
    }
}

/// A sink. It must live inside a `LocalSet`.
///
/// # Errors
/// `Unsupported` with all problems of the texts.
pub fn sink(endpoint: &Endpoint, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
    let (remote, text) = read(endpoint)?;
    let limits = Limits {
        records: text.batch_records,
        bytes: text.batch_bytes,
        linger: Duration::from_millis(text.linger_ms),
        in_flight: text.in_flight,
        attempts: text.retries + 1,
    };
    let header = |name: &'static str, value: &str| {
        HeaderValue::try_from(value).ok().map(|v| (HeaderName::from_static(name), v))
    };
    let headers = [
        Some((CONTENT_TYPE, HeaderValue::from_static("application/json"))),
        header("x-function-name", &text.function),
        header("x-function-namespace", &text.namespace),
        header("x-function-qualifier", &text.qualifier),
    ];
    let headers = headers.into_iter().flatten().collect();
    let function = Function { pool: Pool::new(remote), name: text.function, headers };
    Ok(Box::new(ParcelSink::new(function, limits, context, host)))
}

fn fill(url: &str, [function, namespace, qualifier]: [&str; 3]) -> String {
    url.replace("{function}", function).replace("{namespace}", namespace).replace("{qualifier}", qualifier)
}

fn read(endpoint: &Endpoint) -> Result<(Remote, SinkText)> {
    let mut problems = check_connection(&endpoint.connection);
    problems.extend(check_sink(&endpoint.options));
    let unfit = |words: String| Error::new(ErrorKind::Unsupported, words);
    if !problems.is_empty() {
        let list: Vec<String> = problems.iter().map(|p| format!("{} {}", p.field, p.reason)).collect();
        return Err(unfit(list.join("; ")));
    }
    let connection: ConnectionText =
        serde_json::from_str(&endpoint.connection).map_err(|e| unfit(e.to_string()))?;
    let text: SinkText = serde_json::from_str(&endpoint.options).map_err(|e| unfit(e.to_string()))?;
    let url = fill(&connection.url, [&text.function, &text.namespace, &text.qualifier]);
    let address = Address::parse(&url).map_err(unfit)?;
    let tls = tls_config(connection.ca_pem.as_deref().map(str::as_bytes)).map_err(unfit)?;
    let bearer = endpoint.secret.as_ref().filter(|s| !s.0.is_empty()).and_then(|s| {
        let mut value = HeaderValue::try_from(format!("Bearer {}", s.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    });
    let remote = Remote {
        tls: address.secure.then_some(tls),
        address,
        authorization: bearer,
        connect: Duration::from_secs(10),
        idle: Duration::from_secs(text.timeout_s),
    };
    Ok((remote, text))
}

struct Function {
    pool: Pool,
    name: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[async_trait(?Send)]
impl Carrier for Function {
    fn describe(&self) -> String {
        let address = &self.pool.remote().address;
        let scheme = if address.secure { "https" } else { "http" };
        format!("function {} at {scheme}://{}{}", self.name, address.authority, address.path)
    }

    fn encode(&self, split: &Split, record: &RecordRef<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        out.extend_from_slice(b"{\"Ckafka\":{\"topic\":");
        push_string(out, split.source_topic());
        out.extend_from_slice(
            format!(",\"partition\":{},\"offset\":{}", split.partition, record.offset).as_bytes(),
        );
        if record.sub > 0 {
            out.extend_from_slice(format!(",\"sub\":{}", record.sub).as_bytes());
        }
        push_bytes(out, "msgKey", record.key);
        push_bytes(out, "msgBody", record.value);
        if record.timestamp_ms >= 0 {
            out.extend_from_slice(format!(",\"timestamp\":{}", record.timestamp_ms).as_bytes());
        }
        for (n, (name, value)) in record.headers.enumerate() {
            out.extend_from_slice(if n == 0 { b",\"headers\":[{\"key\":" } else { b"},{\"key\":" });
            push_string(out, &String::from_utf8_lossy(name));
            push_bytes(out, "value", value);
        }
        if record.headers.count_left() > 0 {
            out.extend_from_slice(b"}]");
        }
        out.extend_from_slice(b"}},");
        Ok(())
    }

    async fn post(&self, parcel: &Parcel, range: Range<usize>) -> Result<Posted> {
        let records = parcel.bytes(range);
        let records = records.strip_suffix(b",").unwrap_or(records);
        let body = Bytes::from([&b"{\"Records\":["[..], records, b"]}"].concat());
        let call = Call { method: Method::POST, path: "", headers: &self.headers, body, limit: MAX_ANSWER };
        match self.pool.call(call).await {
            Ok(answer) => judge(&answer),
            Err(e) if e.kind() == ErrorKind::Unavailable => Ok(Posted::Again(e, None)),
            Err(e) => Err(e),
        }
    }
}

fn judge(answer: &Answer) -> Result<Posted> {
    let said = format!("the function answered {} {}", answer.status, answer.words());
    let again = |kind| Ok(Posted::Again(Error::new(kind, said.clone()), answer.retry_after()));
    match answer.status {
        200..300 => Ok(Posted::Done),
        401 | 403 => Err(Error::new(ErrorKind::Denied, said)),
        404 => Err(Error::new(ErrorKind::NotFound, said)),
        429 => again(ErrorKind::Throttled),
        408 | 500.. => again(ErrorKind::Unavailable),
        400..500 => Ok(Posted::Unfit(said)),
        _ => Err(Error::new(ErrorKind::Other, said)),
    }
}

/// `,"name":"text"`, or base64 with a field that says so, or null.
fn push_bytes(out: &mut Vec<u8>, name: &str, bytes: Option<&[u8]>) {
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
    let Some(bytes) = bytes else { return out.extend_from_slice(b"null") };
    match std::str::from_utf8(bytes) {
        Ok(text) => push_string(out, text),
        Err(_) => {
            push_string(out, &base64::engine::general_purpose::STANDARD.encode(bytes));
            out.extend_from_slice(format!(",\"{name}Encoding\":\"base64\"").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use connector::records::{BatchBuilder, Headers, Secret};

    use super::*;

    #[test]
    fn all_problems_come_at_once_and_no_secret_is_printed() {
        let fields = |p: Vec<Problem>| p.into_iter().map(|p| p.field).collect::<Vec<_>>();
        assert_eq!(fields(check_connection(r#"{"url":"x","ca_pem":"y"}"#)), ["url", "ca_pem"]);
        assert!(check_connection(r#"{"url":"http://h:1/{namespace}/{function}"}"#).is_empty());
        let bad = r#"{"function":"a/b","namespace":"","batch_records":0,"timeout_s":0}"#;
        assert_eq!(fields(check_sink(bad)), ["function", "namespace", "batch_records", "timeout_s"]);
        assert_eq!(fields(check_sink("[]")), ["options"]);
        let endpoint = Endpoint {
            connection: r#"{"url":"http://h:1/{namespace}/{function}/{qualifier}"}"#.to_owned(),
            secret: Some(Secret("s3cr3t".into())),
            options: r#"{"function":"f"}"#.to_owned(),
        };
        let (remote, _) = read(&endpoint).unwrap();
        assert_eq!(remote.address.path, "/default/f/$DEFAULT");
        assert!(remote.authorization.is_some() && !format!("{remote:?}").contains("s3cr3t"));
    }

    #[test]
    fn records_become_events() {
        let remote = Remote {
            address: Address::parse("http://h").unwrap(),
            tls: None,
            authorization: None,
            connect: PROBE,
            idle: PROBE,
        };
        let function = Function { pool: Pool::new(remote), name: "f".into(), headers: Vec::new() };
        let split = Split::new("t\"", 2);
        let mut b = BatchBuilder::new(split.clone(), 0);
        let record = RecordRef {
            offset: 7,
            sub: 1,
            timestamp_ms: 5,
            key: None,
            value: Some(b"\xff"),
            headers: Headers::none(),
        };
        b.push_with(&record, |_, put| {
            put(b"h", Some(b"v\n"));
            put(b"n", None);
        });
        b.push(&RecordRef { timestamp_ms: -1, sub: 0, key: Some(b"k"), value: Some(b"{\"a\":1}"), ..record });
        let batch = b.finish(8);
        let mut out = Vec::new();
        batch.iter().for_each(|r| function.encode(&split, &r, &mut out).unwrap());
        let json: serde_json::Value =
            serde_json::from_slice(&[b"[", &out[..out.len() - 1], b"]"].concat()).unwrap();
        let expected = serde_json::json!([
            {"Ckafka": {"topic": "t\"", "partition": 2, "offset": 7, "sub": 1, "msgKey": null, "msgBody": "/w==", "msgBodyEncoding": "base64",
                "timestamp": 5, "headers": [{"key": "h", "value": "v\n"}, {"key": "n", "value": null}]}},
            {"Ckafka": {"topic": "t\"", "partition": 2, "offset": 7, "msgKey": "k", "msgBody": "{\"a\":1}"}},
        ]);
        assert_eq!(json, expected);
    }
}
