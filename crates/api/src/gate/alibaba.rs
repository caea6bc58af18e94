//! Alibaba's gateway: ACS3 and the older RPC signature.

use super::{Admitted, Gate, Refusal, Visit, find, given, header, last_of_each, route};
use crate::account::AccountKey;
use crate::call::{Call, Cloud, Door, Fault};
use crate::encode::{pairs, parse_iso8601, sha256_hex};
use crate::flatten::{Base, unflatten};
use crate::guard::Nonce;
use crate::sign::{
    Authorization, acs3_canonical, acs3_string_to_sign, rpc_string_to_sign, verify_acs3, verify_rpc,
};
use http::Method;
use serde_json::Value;
use std::sync::Arc;

/// Parameters of the protocol itself; a region is told to doors as `Call::region`.
const COMMON: [&str; 13] = [
    "Action",
    "Format",
    "Version",
    "Timestamp",
    "SignatureNonce",
    "SignatureMethod",
    "SignatureVersion",
    "SignatureType",
    "AccessKeyId",
    "SecurityToken",
    "Signature",
    "RegionId",
    "AcceptLanguage",
];
/// Headers that an ACS3 signature must cover: without them a request could be changed or repeated.
const MUST_SIGN: [&str; 5] = ["host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"];

/// What both schemes say about a request.
struct Claim<'c> {
    access_key: &'c str,
    action: &'c str,
    version: &'c str,
    nonce: &'c str,
    stamp: &'c str,
}

impl Gate {
    pub(super) async fn admit_alibaba(&self, visit: &Visit<'_>) -> Result<Admitted, Fault> {
        if !matches!(visit.head.method, Method::GET | Method::POST) {
            return Err(Fault::new(405, "UnsupportedHTTPMethod", "Only GET and POST are supported."));
        }
        let mut given = pairs(visit.head.uri.query().unwrap_or_default());
        if route::is_form(&visit.head.headers) {
            given.extend(pairs(&String::from_utf8_lossy(visit.body)));
        }
        let params = last_of_each(given);
        match header(&visit.head.headers, "authorization") {
            Some(authorization) => self.admit_acs3(visit, &params, authorization).await,
            None => self.admit_rpc(visit, &params).await,
        }
    }

    async fn admit_acs3(
        &self,
        visit: &Visit<'_>,
        params: &[(String, String)],
        authorization: &str,
    ) -> Result<Admitted, Fault> {
        let headers = &visit.head.headers;
        let auth = Authorization::parse(authorization).ok_or_else(incomplete)?;
        if auth.algorithm != "ACS3-HMAC-SHA256" {
            return Err(bad_method());
        }
        if find(params, "SignatureType").is_some_and(|t| !t.is_empty())
            || headers.contains_key("x-acs-bearer-token")
        {
            return Err(bad_method());
        }
        no_token(given(headers, "x-acs-security-token"))?;
        let want = |name: &'static str| given(headers, name).ok_or_else(|| missing(name));
        let claim = Claim {
            access_key: auth.credential.ok_or_else(incomplete)?,
            action: want("x-acs-action")?,
            version: want("x-acs-version")?,
            nonce: want("x-acs-signature-nonce")?,
            stamp: want("x-acs-date")?,
        };
        if MUST_SIGN.iter().any(|name| !auth.signs(name)) {
            return Err(incomplete());
        }
        let timestamp = self.alibaba_clock(claim.stamp)?;
        let key = self.alibaba_key(claim.access_key).await?;
        let hash = sha256_hex(visit.body);
        let claimed = want("x-acs-content-sha256")?;
        let mut shown = String::new();
        // A prefix in the endpoint is sent but `/` is signed: both are tried.
        let right = claimed == hash
            && ["/", visit.head.uri.path()].iter().any(|path| {
                acs3_canonical(visit.head, &auth, path, claimed).is_some_and(|canonical| {
                    shown = acs3_string_to_sign(&canonical);
                    verify_acs3(&auth, &shown, &key.secret)
                })
            });
        if !right {
            return Err(no_match(&shown));
        }
        self.alibaba_call(visit, params, &claim, timestamp, &key)
    }

    async fn admit_rpc(&self, visit: &Visit<'_>, params: &[(String, String)]) -> Result<Admitted, Fault> {
        let want =
            |name: &'static str| find(params, name).filter(|v| !v.is_empty()).ok_or_else(|| missing(name));
        let signature = want("Signature").map_err(|_| incomplete())?;
        let claim = Claim {
            access_key: want("AccessKeyId")?,
            action: want("Action")?,
            version: want("Version")?,
            nonce: want("SignatureNonce")?,
            stamp: want("Timestamp")?,
        };
        if find(params, "SignatureMethod").is_some_and(|m| m != "HMAC-SHA1")
            || find(params, "SignatureType").is_some_and(|t| !t.is_empty())
        {
            return Err(bad_method());
        }
        no_token(find(params, "SecurityToken").filter(|t| !t.is_empty()))?;
        let timestamp = self.alibaba_clock(claim.stamp)?;
        let key = self.alibaba_key(claim.access_key).await?;
        let text = rpc_string_to_sign(visit.head.method.as_str(), params);
        if !verify_rpc(signature, &text, &key.secret) {
            return Err(no_match(&text));
        }
        self.alibaba_call(visit, params, &claim, timestamp, &key)
    }

    /// What follows a right signature: nonce, pace, product, action, parameters.
    fn alibaba_call(
        &self,
        visit: &Visit<'_>,
        params: &[(String, String)],
        claim: &Claim<'_>,
        timestamp: i64,
        key: &AccountKey,
    ) -> Result<Admitted, Fault> {
        match self.guards.alibaba.admit(claim.access_key, claim.nonce, timestamp, self.now_s()) {
            Nonce::Fresh => {}
            Nonce::Used => {
                return Err(Fault::new(400, "SignatureNonceUsed", "The signature nonce was used before."));
            }
            Nonce::TooOld => return Err(expired()),
        }
        if !self.guards.pace(&key.account) {
            let fault =
                Fault::new(429, "Throttling.User", "The account makes too many requests; try again later.");
            return Err(fault.retry_after(1000));
        }
        let door =
            self.alibaba_door(claim.version, header(&visit.head.headers, "host").unwrap_or_default())?;
        if !door.actions().contains(&claim.action) {
            return Err(Fault::new(
                404,
                "InvalidApi.NotFound",
                "The specified api does not exist in this product and version.",
            ));
        }
        let own = |name: &str| COMMON.contains(&name);
        let mut nested = unflatten(params.iter().filter(|(k, _)| !own(k)).cloned(), Base::One)
            .map_err(|p| Fault::new(400, "InvalidParameter", p.to_string()))?;
        // The RPC signature covers query and form alone: a JSON body beside it would be nobody's word.
        let is_acs3 = header(&visit.head.headers, "authorization").is_some();
        if is_acs3 {
            self.merge_json(visit, &mut nested)?;
        } else if !visit.body.is_empty() && !route::is_form(&visit.head.headers) {
            let message = "A body that the signature does not cover is not accepted.";
            return Err(Fault::new(400, "InvalidParameter", message));
        }
        let call = Call {
            action: claim.action.to_owned(),
            version: claim.version.to_owned(),
            region: find(params, "RegionId").map(str::to_owned),
            language: find(params, "AcceptLanguage").map(str::to_owned),
            access_key: claim.access_key.to_owned(),
            params: nested,
            flattened: true,
            ..visit.call(door.as_ref(), key)
        };
        Ok(Admitted { door, call })
    }

    /// Some SDKs send parameters as a JSON body; they join those of the query.
    fn merge_json(&self, visit: &Visit<'_>, params: &mut Value) -> Result<(), Fault> {
        let kind = header(&visit.head.headers, "content-type").unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with("application/json") || visit.body.is_empty() {
            return Ok(());
        }
        let body = self.json_object(visit.body).map_err(|why| Fault::new(400, "InvalidParameter", why))?;
        if let (Value::Object(into), Value::Object(from)) = (params, body) {
            into.extend(from);
        }
        Ok(())
    }

    fn alibaba_clock(&self, stamp: &str) -> Result<i64, Fault> {
        let timestamp = parse_iso8601(stamp).ok_or_else(|| {
            Fault::new(
                400,
                "InvalidTimeStamp.Format",
                "The timestamp must have the form yyyy-MM-ddTHH:mm:ssZ.",
            )
        })?;
        if self.now_s().abs_diff(timestamp) > self.config.long_skew_s.unsigned_abs() {
            return Err(expired());
        }
        Ok(timestamp)
    }

    async fn alibaba_key(&self, access_key: &str) -> Result<AccountKey, Fault> {
        match self.key(access_key).await? {
            None => {
                Err(Fault::new(404, "InvalidAccessKeyId.NotFound", "The specified access key is not found."))
            }
            Some(key) if !key.active => Err(Fault::new(
                400,
                "InvalidAccessKeyId.Inactive",
                "The specified access key is switched off.",
            )),
            Some(key) => Ok(key),
        }
    }

    fn alibaba_door(&self, version: &str, host: &str) -> Result<Arc<dyn Door>, Fault> {
        let ours = || self.doors.iter().filter(|d| d.cloud() == Cloud::Alibaba);
        if host.contains(".aliyuncs.com") {
            let label = host.split('.').next().unwrap_or_default();
            if !ours().any(|d| d.service() == label) {
                return Err(Fault::new(404, "InvalidProduct.NotFound", "There is no such product here."));
            }
        }
        ours()
            .find(|d| d.versions().contains(&version))
            .cloned()
            .ok_or_else(|| Fault::new(400, "InvalidVersion", "The specified version is not valid."))
    }
}

fn no_token(token: Option<&str>) -> Result<(), Fault> {
    match token {
        None => Ok(()),
        Some(_) => Err(Fault::new(
            400,
            "InvalidSecurityToken.Malformed",
            "Temporary credentials are not known here.",
        )),
    }
}

pub(super) fn refusal(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::TooLarge => Fault::new(413, "RequestEntityTooLarge", "The request body is too large."),
        Refusal::TooSlow => Fault::new(408, "RequestTimeout", "The request body did not arrive in time."),
        Refusal::BrokenOff => Fault::new(400, "InvalidParameter", "The request body broke off."),
        Refusal::Busy => {
            Fault::new(503, "ServiceUnavailable", "Too many large requests at once.").retry_after(1000)
        }
    }
}

fn missing(name: &str) -> Fault {
    Fault::new(400, "MissingParameter", format!("{name} is mandatory for this action."))
}

fn incomplete() -> Fault {
    Fault::new(
        400,
        "IncompleteSignature",
        "The request signature is absent or lacks parts that it must have.",
    )
}

fn bad_method() -> Fault {
    Fault::new(400, "InvalidSignatureMethod", "The signature method is not supported here.")
}

fn expired() -> Fault {
    Fault::new(400, "InvalidTimeStamp.Expired", "The timestamp is too far from the server's time.")
}

/// The string to sign holds what the client sent and hashes of it, no secret.
fn no_match(string_to_sign: &str) -> Fault {
    let shown: String = string_to_sign.chars().take(4096).collect();
    Fault::new(
        400,
        "SignatureDoesNotMatch",
        format!("Specified signature is not matched with our calculation. server string to sign is:{shown}"),
    )
}
