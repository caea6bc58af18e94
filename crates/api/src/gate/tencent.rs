//! Tencent's gateway, and the operator's, which borrows its signature and envelope.
//!
//! Order: method, form of the authorization, clock, temporary credentials, key, signature, pace, then
//! product, version, action and parameters: who has no valid key learns nothing of what is here.

use super::{Admitted, Gate, Refusal, Visit, find, given, header, last_of_each};
use crate::account::AccountKey;
use crate::call::{Call, Cloud, Door, Fault};
use crate::encode::{date, pairs};
use crate::flatten::{Base, unflatten};
use crate::guard::Nonce;
use crate::sign::{Tc1Method, Tc3Problem, Tc3Proof, tc1, verify_tc1, verify_tc3, without_port};
use http::Method;
use serde_json::Value;
use std::sync::Arc;

/// Parameters of the v1 protocol itself.
const COMMON: [&str; 10] = [
    "Action",
    "Version",
    "Region",
    "Timestamp",
    "Nonce",
    "SecretId",
    "SignatureMethod",
    "Signature",
    "Language",
    "Token",
];

impl Gate {
    pub(super) async fn admit_tencent(&self, cloud: Cloud, visit: &Visit<'_>) -> Result<Admitted, Fault> {
        if !matches!(visit.head.method, Method::GET | Method::POST) {
            return Err(fault("UnsupportedProtocol", "Only GET and POST are supported."));
        }
        match header(&visit.head.headers, "authorization") {
            Some(authorization) => self.admit_tc3(cloud, visit, authorization).await,
            None if cloud == Cloud::Operator => Err(malformed()),
            None => self.admit_v1(visit).await,
        }
    }

    async fn admit_tc3(
        &self,
        cloud: Cloud,
        visit: &Visit<'_>,
        authorization: &str,
    ) -> Result<Admitted, Fault> {
        let headers = &visit.head.headers;
        let proof = Tc3Proof::parse(authorization).ok_or_else(malformed)?;
        let stamp = given(headers, "x-tc-timestamp").ok_or_else(|| missing("X-TC-Timestamp"))?;
        let timestamp = self.tencent_clock(stamp)?;
        if date(timestamp).as_deref() != Some(proof.date) {
            return Err(fault(
                "AuthFailure.SignatureFailure",
                "The date in the credential is not the timestamp's UTC date.",
            ));
        }
        let action = given(headers, "x-tc-action").ok_or_else(|| missing("X-TC-Action"))?;
        if cloud == Cloud::Operator && !proof.authorization.signs("x-tc-action") {
            return Err(fault(
                "AuthFailure.InvalidAuthorization",
                "This API wants x-tc-action among the signed headers.",
            ));
        }
        self.unsigned_allowed(cloud, visit)?;
        no_token(given(headers, "x-tc-token"))?;
        let key = self.tencent_key(proof.access_key).await?;
        verify_tc3(visit.head, visit.body, &proof, &key.secret, &self.keys).map_err(
            |problem| match problem {
                Tc3Problem::HeaderAbsent => malformed(),
                Tc3Problem::Wrong => wrong_signature(),
            },
        )?;
        self.tencent_pace(&key, cloud)?;
        let version = header(headers, "x-tc-version").unwrap_or_default();
        let door =
            self.tencent_door(cloud, proof.service, version, header(headers, "host").unwrap_or_default())?;
        let action = known_action(door.as_ref(), action)?;
        let (params, flattened) = self.tc3_params(visit)?;
        let call = Call {
            action,
            version: version.to_owned(),
            region: given(headers, "x-tc-region").map(str::to_owned),
            access_key: proof.access_key.to_owned(),
            language: given(headers, "x-tc-language").map(str::to_owned),
            params,
            flattened,
            ..visit.call(door.as_ref(), &key)
        };
        Ok(Admitted { door, call })
    }

    async fn admit_v1(&self, visit: &Visit<'_>) -> Result<Admitted, Fault> {
        let verb = visit.head.method.as_str();
        let query = visit.head.uri.query().unwrap_or_default();
        let form = if visit.head.method == Method::GET {
            query
        } else {
            std::str::from_utf8(visit.body).unwrap_or_default()
        };
        let given = last_of_each(pairs(form));
        let want =
            |name: &'static str| find(&given, name).filter(|v| !v.is_empty()).ok_or_else(|| missing(name));
        if find(&given, "SecretId").is_none() && find(&given, "Signature").is_none() {
            return Err(malformed());
        }
        let (signature, access_key, nonce) = (want("Signature")?, want("SecretId")?, want("Nonce")?);
        let (action, version) = (want("Action")?, want("Version")?);
        let timestamp = self.tencent_clock(want("Timestamp")?)?;
        no_token(find(&given, "Token").filter(|t| !t.is_empty()))?;
        let method = Tc1Method::of(find(&given, "SignatureMethod")).ok_or_else(|| {
            fault("InvalidParameterValue", "SignatureMethod must be HmacSHA1 or HmacSHA256.")
        })?;
        let key = self.tencent_key(access_key).await?;
        let host = header(&visit.head.headers, "host").unwrap_or_default();
        if !verify_tc1(signature, &tc1(method, verb, host, &given, &key.secret)) {
            return Err(wrong_signature());
        }
        match self.guards.tencent.admit(access_key, nonce, timestamp, self.now_s()) {
            Nonce::Fresh => {}
            Nonce::Used => return Err(fault("AuthFailure.SignatureFailure", "The nonce was used before.")),
            Nonce::TooOld => return Err(expired()),
        }
        self.tencent_pace(&key, Cloud::Tencent)?;
        let door = self.door_by_version(version)?;
        let action = known_action(door.as_ref(), action)?;
        let own = |name: &str| COMMON.contains(&name) || name == "RequestClient";
        let params = nested(given.iter().filter(|(k, _)| !own(k)).cloned())?;
        let call = Call {
            action,
            version: version.to_owned(),
            region: find(&given, "Region").map(str::to_owned),
            access_key: access_key.to_owned(),
            language: find(&given, "Language").map(str::to_owned),
            params,
            flattened: true,
            ..visit.call(door.as_ref(), &key)
        };
        Ok(Admitted { door, call })
    }

    fn tencent_clock(&self, stamp: &str) -> Result<i64, Fault> {
        let digits = !stamp.is_empty() && stamp.bytes().all(|b| b.is_ascii_digit());
        let timestamp = digits.then(|| stamp.parse::<i64>().ok()).flatten();
        let timestamp = timestamp
            .ok_or_else(|| fault("InvalidParameter", "The timestamp must be Unix time in seconds."))?;
        if self.now_s().abs_diff(timestamp) > self.config.tencent_skew_s.unsigned_abs() {
            return Err(expired());
        }
        Ok(timestamp)
    }

    fn unsigned_allowed(&self, cloud: Cloud, visit: &Visit<'_>) -> Result<(), Fault> {
        let refused = cloud == Cloud::Operator || !self.config.unsigned_payload;
        if refused && crate::sign::tc3_unsigned(visit.head) {
            return Err(fault(
                "AuthFailure.InvalidAuthorization",
                "An unsigned payload is not accepted here.",
            ));
        }
        Ok(())
    }

    async fn tencent_key(&self, access_key: &str) -> Result<AccountKey, Fault> {
        let key = self.key(access_key).await?;
        key.filter(|k| k.active).ok_or_else(|| {
            fault("AuthFailure.SecretIdNotFound", "The SecretId does not exist or is switched off.")
        })
    }

    fn tencent_pace(&self, key: &AccountKey, cloud: Cloud) -> Result<(), Fault> {
        if cloud == Cloud::Operator && !key.operator {
            return Err(fault("AuthFailure.UnauthorizedOperation", "This API is for operators."));
        }
        if !self.guards.pace(&key.account) {
            return Err(fault(
                "RequestLimitExceeded.UinLimitExceeded",
                "The account makes too many requests; try again later.",
            ));
        }
        Ok(())
    }

    fn door_of(&self, fits: impl Fn(&dyn Door) -> bool) -> Option<Arc<dyn Door>> {
        self.doors.iter().find(|d| fits(d.as_ref())).cloned()
    }

    /// Where the request names no service: no two of Tencent's products here have a version in common.
    fn door_by_version(&self, version: &str) -> Result<Arc<dyn Door>, Fault> {
        self.door_of(|d| d.cloud() == Cloud::Tencent && d.versions().contains(&version))
            .ok_or_else(no_version)
    }

    /// The door that the credential's service names, if host and version don't contradict it; by the version
    /// alone where the service is only the endpoint's name (see [`is_label_of`]).
    fn tencent_door(
        &self,
        cloud: Cloud,
        service: &str,
        version: &str,
        host: &str,
    ) -> Result<Arc<dyn Door>, Fault> {
        let Some(door) = self.door_of(|d| d.cloud() == cloud && d.service() == service) else {
            return match cloud {
                Cloud::Tencent if is_label_of(service, host) => self.door_by_version(version),
                _ => Err(fault("NoSuchProduct", "There is no such product here.")),
            };
        };
        let other = |d: &dyn Door| d.cloud() == cloud && d.service() != service;
        let label = host.split('.').next().unwrap_or_default();
        let named_other = host.contains('.') && self.door_of(|d| other(d) && d.service() == label).is_some();
        if named_other {
            return Err(other_service());
        }
        if !door.versions().is_empty() && !door.versions().contains(&version) {
            let known = self.door_of(|d| other(d) && d.versions().contains(&version)).is_some();
            return Err(if known { other_service() } else { no_version() });
        }
        Ok(door)
    }

    fn tc3_params(&self, visit: &Visit<'_>) -> Result<(Value, bool), Fault> {
        if visit.head.method == Method::GET {
            return Ok((nested(pairs(visit.head.uri.query().unwrap_or_default()))?, true));
        }
        let kind = header(&visit.head.headers, "content-type").unwrap_or_default().to_ascii_lowercase();
        if super::route::is_form(&visit.head.headers) {
            let form = std::str::from_utf8(visit.body)
                .map_err(|_| fault("InvalidParameter", "The form is not UTF-8."))?;
            return Ok((nested(pairs(form))?, true));
        }
        if kind.starts_with("multipart/") {
            return Err(fault("InvalidRequest", "No action here takes multipart/form-data."));
        }
        let params = self.json_object(visit.body).map_err(|why| fault("InvalidParameter", why))?;
        Ok((params, false))
    }
}

/// Is this service nothing but the first label of the host? The Node SDK makes it so (`endpoint.split(".")[0]`
/// in 4.1.313, `common/abstract_client.js`): `cfs` at the cloud, `127` or `localhost:8480` here.
fn is_label_of(service: &str, host: &str) -> bool {
    let own = without_port(host.split('.').next().unwrap_or_default().as_bytes());
    !own.is_empty() && own.eq_ignore_ascii_case(without_port(service.as_bytes()))
}

fn nested(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Value, Fault> {
    unflatten(pairs, Base::Zero).map_err(|p| fault("InvalidParameter", p.to_string()))
}

fn known_action(door: &dyn Door, action: &str) -> Result<String, Fault> {
    if door.actions().contains(&action) {
        return Ok(action.to_owned());
    }
    Err(fault("InvalidAction", "The action does not exist in this product and version."))
}

fn no_token(token: Option<&str>) -> Result<(), Fault> {
    match token {
        None => Ok(()),
        Some(_) => Err(fault("AuthFailure.TokenFailure", "Temporary credentials are not known here.")),
    }
}

pub(super) fn refusal(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::TooLarge => fault("RequestSizeLimitExceeded", "The request body is too large."),
        Refusal::TooSlow => fault("InvalidRequest", "The request body did not arrive in time."),
        Refusal::BrokenOff => fault("InvalidRequest", "The request body broke off."),
        Refusal::Busy => fault("ServiceUnavailable", "Too many large requests at once; try again later."),
    }
}

fn fault(code: &'static str, message: impl Into<String>) -> Fault {
    Fault::tencent(code, message)
}

fn missing(name: &str) -> Fault {
    fault("MissingParameter", format!("The request does not have the required parameter `{name}`."))
}

fn malformed() -> Fault {
    fault("AuthFailure.InvalidAuthorization", "The Authorization is absent or malformed.")
}

fn wrong_signature() -> Fault {
    fault("AuthFailure.SignatureFailure", "The signature is not the one that the server calculates.")
}

fn other_service() -> Fault {
    fault("AuthFailure.SignatureFailure", "The service in the credential is not the one that is called.")
}

fn expired() -> Fault {
    fault("AuthFailure.SignatureExpire", "The timestamp is too far from the server's time.")
}

fn no_version() -> Fault {
    fault("NoSuchVersion", "The product has no such version.")
}
