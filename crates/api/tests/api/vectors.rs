//! Requests captured from unmodified SDKs, byte for byte: each must pass, and each with one byte
//! changed in what is signed must fail.

use crate::kit::{Headers, code, gate_at, seen, send};
use serde_json::{Value, json};

struct Vector {
    name: &'static str,
    at: i64,
    method: &'static str,
    uri: &'static str,
    headers: Headers,
    body: &'static str,
    /// Headers that the signature covers.
    covered: &'static [&'static str],
    params: Value,
}

const TC3_POST: &str = "TC3-HMAC-SHA256 Credential=AKIDTEST/2026-11-22/cfs/tc3_request, SignedHeaders=content-type;host, Signature=ef757af140af74b4d5094704638ec3cbe5388c345fe991d0935b073637575e63";
const TC3_GET: &str = "TC3-HMAC-SHA256 Credential=AKIDTEST/2026-11-22/cfs/tc3_request, SignedHeaders=content-type;host, Signature=c926921fbe1f6dca3478e9b4e2e3e259ff75c33331342aea89d63fc7a7f31f38";
const V1_GET: &str = "/?FileSystemId=cfs-1&Limit=20&Action=DescribeDataFlow&RequestClient=SDK_PYTHON_3.1.189&Nonce=8023637475991807475&Timestamp=1795343051&Version=2019-07-19&Region=ap-guangzhou&SecretId=AKIDTEST&SignatureMethod=HmacSHA256&Language=zh-CN&Signature=YWbWhL4WMz2WgIiSRYRzdpGggCeZDRDCUVXC669kllM%3D";
const V1_POST: &str = "FileSystemId=cfs-1&Limit=20&Action=DescribeDataFlow&RequestClient=SDK_PYTHON_3.1.189&Nonce=1920072075086759773&Timestamp=1795343051&Version=2019-07-19&Region=ap-guangzhou&SecretId=AKIDTEST&SignatureMethod=HmacSHA1&Language=zh-CN&Signature=tCMnbVQVRpSrNKqFFcRvhXmsGA4%3D";
const NODE_POST: &str = "TC3-HMAC-SHA256 Credential=AKIDTEST/2026-11-22/127/tc3_request, SignedHeaders=content-type;host, Signature=354cbf87ba6f79ee549cdd12982e78842bf03fb6115aa693f580de2412147424";
const NODE_GET: &str = "TC3-HMAC-SHA256 Credential=AKIDTEST/2026-11-22/127/tc3_request, SignedHeaders=content-type;host, Signature=96e02215865bde9e35e46f6baabca1c00e05a1355b4b5196743d415b67d2a941";
const NODE_NAME: &str = "TC3-HMAC-SHA256 Credential=AKIDTEST/2026-11-22/localhost:18098/tc3_request, SignedHeaders=content-type;host, Signature=b512a1caca35cc7ae9696ea92e352456b8380ce0451f1b80ee1c5af068f12aca";
const ACS3: &str = "ACS3-HMAC-SHA256 Credential=AKIDTEST,SignedHeaders=accept;host;user-agent;x-acs-action;x-acs-content-sha256;x-acs-credentials-provider;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=46f70d15f0673a18ef6710f82541e1876611ec5121b8f106948dc759c3395189";
const RPC: &str = "/?Action=CreateDataFlowTask&Format=json&Version=2017-06-26&Timestamp=2026-11-22T10%3A24%3A13Z&SignatureNonce=84681b946100c082fb37850ebb58f60c&DataFlowId=df-1&DryRun=True&EntryList=%5B%22%2Fa+b%22%5D&FileSystemId=bmcpfs-1&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&AccessKeyId=AKIDTEST&Signature=SniUpv98dD6O4DQOf3XQ3zl%2BHtA%3D";
const HW_NEW: &str = "SDK-HMAC-SHA256 Access=AKIDTEST, SignedHeaders=content-type;host;user-agent;x-project-id;x-sdk-date, Signature=b198044e7f63f9240a543790a83bec77fb65f09a010bd6ac97f546d912e8bf35";
const HW_OLD: &str = "SDK-HMAC-SHA256 Credential=AKIDTEST/20261122/cn-north-1/dis/sdk_request, SignedHeaders=host;x-sdk-date, Signature=fa0f8a53a4e7c0f718a0b204e59cd47c922987ebb3cb60d5b31e80db339f89e6";
const HW_V11: &str = "V11-HMAC-SHA256 Credential=AKIDTEST/20261122/cn-north-1/dis/sdk_request, SignedHeaders=host;x-sdk-date, Signature=b7aea5c053661b8b2c4fe438a9d9ebea8f5de33ccd21f2ac6f661df2a48aa0c6";
const HW_AGENT: &str = "huaweicloud-usdk-python/3.0; os/Linux##1_SMP_PREEMPT_DYNAMIC_@0#x86_64 python/3.11.7 impl/CPython; app/51c9c16a-7200-444b-a1c6-a714998ec84e";

fn headers(list: &[(&'static str, &str)]) -> Headers {
    list.iter().map(|(k, v)| (*k, (*v).to_owned())).chain([("host", "127.0.0.1:18098".to_owned())]).collect()
}

fn tc3_headers(kind: &str, authorization: &str) -> Headers {
    headers(&[
        ("content-type", kind),
        ("x-tc-action", "DescribeDataFlow"),
        ("x-tc-timestamp", "1795343051"),
        ("x-tc-version", "2019-07-19"),
        ("x-tc-region", "ap-guangzhou"),
        ("x-tc-language", "zh-CN"),
        ("authorization", authorization),
    ])
}

const TC3_COVERED: &[&str] = &["authorization", "content-type", "host", "x-tc-timestamp"];

fn tencent() -> Vec<Vector> {
    let text = json!({"FileSystemId": "cfs-1", "Limit": "20"});
    let base = || Vector {
        name: "TC3 POST",
        at: 1_795_343_051,
        method: "POST",
        uri: "/",
        headers: tc3_headers("application/json", TC3_POST),
        body: r#"{"FileSystemId": "cfs-1", "Limit": 20}"#,
        covered: TC3_COVERED,
        params: json!({"FileSystemId": "cfs-1", "Limit": 20}),
    };
    vec![
        base(),
        Vector { name: "TC3 POST under a prefix", uri: "/tencent/api", ..base() },
        Vector {
            name: "TC3 GET",
            method: "GET",
            uri: "/?FileSystemId=cfs-1&Limit=20",
            headers: tc3_headers("application/x-www-form-urlencoded", TC3_GET),
            body: "",
            params: text.clone(),
            ..base()
        },
        Vector {
            name: "v1 HmacSHA256 GET",
            method: "GET",
            uri: V1_GET,
            headers: headers(&[]),
            body: "",
            covered: &["host"],
            params: text.clone(),
            ..base()
        },
        Vector {
            name: "v1 HmacSHA1 POST",
            headers: headers(&[("content-type", "application/x-www-form-urlencoded")]),
            body: V1_POST,
            covered: &["host"],
            params: text,
            ..base()
        },
    ]
}

/// Of tencentcloud-sdk-nodejs 4.1.313: it signs the host without its port, and takes the endpoint's first label for the service.
fn node() -> Vec<Vector> {
    let headers_of = |kind: &str, authorization: &str, host: &str| {
        let mut all = tc3_headers(kind, authorization);
        all.retain(|(name, _)| !matches!(*name, "x-tc-language" | "x-tc-timestamp" | "host"));
        all.extend([("x-tc-timestamp", "1795363071".to_owned()), ("host", host.to_owned())]);
        all
    };
    let base = || Vector {
        name: "TC3 POST of Node",
        at: 1_795_363_071,
        method: "POST",
        uri: "/",
        headers: headers_of("application/json", NODE_POST, "127.0.0.1:18098"),
        body: r#"{"FileSystemId":"cfs-1","Limit":20}"#,
        covered: &["authorization", "content-type", "x-tc-timestamp"],
        params: json!({"FileSystemId": "cfs-1", "Limit": 20}),
    };
    vec![
        base(),
        Vector {
            name: "TC3 POST of Node by name",
            headers: headers_of("application/json", NODE_NAME, "localhost:18098"),
            ..base()
        },
        Vector {
            name: "TC3 GET of Node",
            method: "GET",
            uri: "/?FileSystemId=cfs-1&Limit=20",
            headers: headers_of("application/x-www-form-urlencoded", NODE_GET, "127.0.0.1:18098"),
            body: "",
            params: json!({"FileSystemId": "cfs-1", "Limit": "20"}),
            ..base()
        },
    ]
}

fn alibaba() -> Vec<Vector> {
    let params =
        json!({"DataFlowId":"df-1","DryRun":"True","EntryList":"[\"/a b\"]","FileSystemId":"bmcpfs-1"});
    let base = || Vector {
        name: "ACS3",
        at: 1_795_343_052,
        method: "POST",
        uri: "/?DataFlowId=df-1&DryRun=True&EntryList=%5B%22%2Fa+b%22%5D&FileSystemId=bmcpfs-1",
        headers: headers(&[
            ("x-acs-version", "2017-06-26"),
            ("x-acs-action", "CreateDataFlowTask"),
            ("user-agent", "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2"),
            ("x-acs-date", "2026-11-22T10:24:12Z"),
            ("x-acs-signature-nonce", "0eac278974422cc051d11a5eacdf980d"),
            ("accept", "application/json"),
            ("x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("x-acs-credentials-provider", "static_ak"),
            ("authorization", ACS3),
        ]),
        body: "",
        covered: &[
            "authorization",
            "host",
            "x-acs-version",
            "x-acs-action",
            "user-agent",
            "x-acs-date",
            "x-acs-signature-nonce",
            "accept",
            "x-acs-content-sha256",
            "x-acs-credentials-provider",
        ],
        params: params.clone(),
    };
    let prefixed = "/ali/?DataFlowId=df-1&DryRun=True&EntryList=%5B%22%2Fa+b%22%5D&FileSystemId=bmcpfs-1";
    vec![
        base(),
        Vector { name: "ACS3 under a prefix", uri: prefixed, ..base() },
        Vector { name: "RPC", uri: RPC, headers: headers(&[]), covered: &[], ..base() },
    ]
}

fn huawei() -> Vec<Vector> {
    let base = || Vector {
        name: "Huawei new",
        at: 1_795_343_053,
        method: "POST",
        uri: "/v2/pid/records",
        headers: headers(&[
            ("user-agent", HW_AGENT),
            ("content-type", "application/json"),
            ("x-project-id", "pid"),
            ("x-sdk-date", "20261122T102413Z"),
            ("authorization", HW_NEW),
        ]),
        body: r#"{"stream_name": "s1", "records": [{"data": "ZGF0YQ==", "partition_key": "k"}]}"#,
        covered: &["authorization", "user-agent", "content-type", "x-project-id", "x-sdk-date", "host"],
        params: json!({"stream_name": "s1", "records": [{"data": "ZGF0YQ==", "partition_key": "k"}]}),
    };
    let old = |name, authorization| Vector {
        name,
        method: "GET",
        uri: "/v2/pid/streams/?limit=5",
        headers: headers(&[("x-sdk-date", "20261122T102413Z"), ("authorization", authorization)]),
        body: "",
        covered: &["authorization", "x-sdk-date"],
        params: json!({}),
        ..base()
    };
    vec![base(), old("Huawei legacy", HW_OLD), old("Huawei V11", HW_V11)]
}

fn vectors() -> Vec<Vector> {
    tencent().into_iter().chain(node()).chain(alibaba()).chain(huawei()).collect()
}

#[tokio::test]
async fn captured_requests_pass() {
    for v in vectors() {
        let (gate, _) = gate_at(v.at);
        let response = send(&gate, v.method, v.uri, &v.headers, v.body.as_bytes()).await.unwrap();
        let text = String::from_utf8_lossy(response.body());
        assert_eq!(code(&response), None, "{}: {text}", v.name);
        assert_eq!(seen(&response)["params"], v.params, "{}: {text}", v.name);
        assert_eq!(seen(&response)["account"], "a1", "{}", v.name);
    }
}

/// The text with one byte changed, for every position.
fn flips(text: &str) -> Vec<String> {
    (0..text.len())
        .filter_map(|i| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[i] ^= 1;
            String::from_utf8(bytes).ok()
        })
        .collect()
}

#[tokio::test]
async fn one_changed_byte_fails() {
    let mut tried = 0;
    for v in vectors() {
        let (gate, _) = gate_at(v.at);
        let mut all: Vec<(String, Headers, String)> = Vec::new();
        let (uri, body) = (v.uri.to_owned(), v.body.to_owned());
        let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
        all.extend(
            flips(query).into_iter().map(|q| (format!("{path}?{q}"), v.headers.clone(), body.clone())),
        );
        all.extend(flips(&body).into_iter().map(|b| (uri.clone(), v.headers.clone(), b)));
        for name in v.covered {
            let at = v.headers.iter().position(|(k, _)| k == name).unwrap();
            for value in flips(&v.headers[at].1) {
                let mut changed = v.headers.clone();
                changed[at].1 = value;
                all.push((uri.clone(), changed, body.clone()));
            }
        }
        for (uri, headers, body) in all {
            let Some(response) = send(&gate, v.method, &uri, &headers, body.as_bytes()).await else {
                continue;
            };
            let what = || format!("{}: {uri} {headers:?} {body}", v.name);
            assert!(code(&response).is_some(), "passed: {}", what());
            tried += 1;
        }
    }
    assert!(tried > 2500, "{tried}");
}

/// What a TC3 vector is answered when it comes with another host.
async fn with_host(v: &Vector, host: &str) -> Option<String> {
    let (gate, _) = gate_at(v.at);
    let mut headers = v.headers.clone();
    headers.retain(|(name, _)| *name != "host");
    headers.push(("host", host.to_owned()));
    code(&send(&gate, v.method, v.uri, &headers, v.body.as_bytes()).await.unwrap())
}

#[tokio::test]
async fn nodes_signature_leaves_out_the_port_and_nothing_else() {
    for v in node() {
        let name = v.headers.iter().find(|(k, _)| *k == "host").unwrap().1.trim_end_matches(":18098");
        for same in [format!("{name}:9"), name.to_owned()] {
            assert_eq!(with_host(&v, &same).await, None, "{} {same}", v.name);
        }
        for i in 0..name.len() {
            let mut other = name.as_bytes().to_vec();
            other[i] ^= 2;
            let other = format!("{}:18098", String::from_utf8(other).unwrap());
            assert_eq!(
                with_host(&v, &other).await.as_deref(),
                Some("AuthFailure.SignatureFailure"),
                "{other}"
            );
        }
        for odd in [
            format!("{name}:"),
            format!("{name}:x"),
            format!("{name}:1:2"),
            format!("{name}x:18098"),
            String::new(),
        ] {
            assert_eq!(with_host(&v, &odd).await.as_deref(), Some("AuthFailure.SignatureFailure"), "{odd}");
        }
    }
}

#[tokio::test]
async fn who_signs_the_port_is_held_to_it() {
    for v in tencent().iter().filter(|v| v.name.starts_with("TC3")) {
        for other in ["127.0.0.1", "127.0.0.1:18099", "127.0.0.1:"] {
            assert_eq!(
                with_host(v, other).await.as_deref(),
                Some("AuthFailure.SignatureFailure"),
                "{} {other}",
                v.name
            );
        }
    }
}

#[tokio::test]
async fn nonces_pass_once() {
    for v in vectors() {
        let (gate, _) = gate_at(v.at);
        let _ = send(&gate, v.method, v.uri, &v.headers, v.body.as_bytes()).await;
        let again = send(&gate, v.method, v.uri, &v.headers, v.body.as_bytes()).await.unwrap();
        let expected = match v.name {
            n if n.starts_with("v1") => Some("AuthFailure.SignatureFailure"),
            n if n.starts_with("ACS3") || n == "RPC" => Some("SignatureNonceUsed"),
            _ => None,
        };
        assert_eq!(code(&again).as_deref(), expected, "{}", v.name);
    }
}

#[tokio::test]
async fn clocks_are_held_to() {
    for v in vectors() {
        let (skew, expected) = match v.name {
            n if n.starts_with("TC3") || n.starts_with("v1") => (300, "AuthFailure.SignatureExpire"),
            n if n.starts_with("Huawei") => (900, "APIGW.0301"),
            _ => (900, "InvalidTimeStamp.Expired"),
        };
        for (off, passes) in [(-skew - 2, false), (-skew + 2, true), (skew - 2, true), (skew + 2, false)] {
            let (gate, _) = gate_at(v.at + off);
            let response = send(&gate, v.method, v.uri, &v.headers, v.body.as_bytes()).await.unwrap();
            let want = (!passes).then_some(expected);
            assert_eq!(code(&response).as_deref(), want, "{} {off}", v.name);
        }
    }
}

#[tokio::test]
async fn another_keys_secret_fails() {
    for v in vectors() {
        let (gate, _) = gate_at(v.at);
        let swap = |s: &str| s.replace("AKIDTEST", "AKIDOPERATOR");
        let headers: Headers = v.headers.iter().map(|(k, val)| (*k, swap(val))).collect();
        let body = if v.name.starts_with("v1") { swap(v.body) } else { v.body.to_owned() };
        let response = send(&gate, v.method, &swap(v.uri), &headers, body.as_bytes()).await.unwrap();
        assert!(code(&response).is_some(), "{}", v.name);
    }
}
