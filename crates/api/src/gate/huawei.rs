//! Huawei's gateway: three layouts of signature and IAM tokens.

use super::{Admitted, Gate, Refusal, Visit, given, header};
use crate::account::AccountKey;
use crate::call::{Call, Cloud, Fault};
use crate::encode::{parse_basic, sha256_hex};
use crate::sign::{Authorization, HuaweiScheme, verify_huawei};
use serde_json::{Map, Value};

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

impl Gate {
    pub(super) async fn admit_huawei(&self, visit: &Visit<'_>) -> Result<Admitted, Fault> {
        let (head, path) = (visit.head, visit.head.uri.path());
        let routed = self.doors.iter().filter(|d| d.cloud() == Cloud::Huawei).find_map(|d| {
            let action = d.route(&head.method, path)?;
            Some((d.clone(), action))
        });
        let (door, action) = routed
            .ok_or_else(|| Fault::new(404, "APIGW.0101", "The API does not exist or is not published."))?;
        let (key, access_key) = match given(&head.headers, "x-auth-token") {
            Some(token) => (self.token(token).await?, ""),
            None => self.huawei_key(visit).await?,
        };
        if !key.active {
            return Err(bad("the access key is not known or switched off"));
        }
        if !self.guards.pace(&key.account) {
            return Err(Fault::new(
                429,
                "APIGW.0308",
                "The account makes too many requests; try again later.",
            ));
        }
        let params = match door.takes_raw(action) {
            true => Value::Object(Map::new()),
            false => self.huawei_params(visit)?,
        };
        let call = Call {
            action: action.to_owned(),
            version: path.split('/').nth(1).unwrap_or_default().to_owned(),
            access_key: access_key.to_owned(),
            params,
            language: given(&head.headers, "x-language").map(str::to_owned),
            ..visit.call(door.as_ref(), &key)
        };
        Ok(Admitted { door, call })
    }

    async fn token(&self, token: &str) -> Result<AccountKey, Fault> {
        let found = self.accounts.by_token(token).await.map_err(|e| {
            tracing::error!(error = %e, "accounts failed");
            internal()
        })?;
        found.ok_or_else(|| bad("the token is not known"))
    }

    async fn huawei_key<'v>(&self, visit: &Visit<'v>) -> Result<(AccountKey, &'v str), Fault> {
        let headers = &visit.head.headers;
        let auth = header(headers, "authorization")
            .ok_or_else(|| bad("there is neither a signature nor a token"))?;
        let auth = Authorization::parse(auth).ok_or_else(|| bad("the Authorization is malformed"))?;
        let scheme = HuaweiScheme::of(&auth).ok_or_else(|| bad("the signature's form is not known"))?;
        if !auth.signs("x-sdk-date") || !auth.signs("host") {
            return Err(bad("host and x-sdk-date must be signed"));
        }
        if given(headers, "x-security-token").is_some() {
            return Err(bad("temporary credentials are not known here"));
        }
        let stamp = given(headers, "x-sdk-date").ok_or_else(|| bad("X-Sdk-Date is absent"))?;
        let timestamp =
            parse_basic(stamp).ok_or_else(|| bad("X-Sdk-Date must have the form yyyyMMddTHHmmssZ"))?;
        if self.now_s().abs_diff(timestamp) > self.config.long_skew_s.unsigned_abs() {
            return Err(bad("X-Sdk-Date is too far from the server's time"));
        }
        if scheme.date().is_some_and(|date| stamp.get(..8) != Some(date)) {
            return Err(bad("the credential's date is not that of X-Sdk-Date"));
        }
        let key = self.key(scheme.access_key()).await.map_err(|_| internal())?;
        let key = key.ok_or_else(|| bad("the access key is not known or switched off"))?;
        let hash = self.body_hash(visit)?;
        if !verify_huawei(visit.head, &auth, &scheme, &key.secret, &hash) {
            return Err(bad("the signature is not the one that the server calculates"));
        }
        Ok((key, scheme.access_key()))
    }

    /// The hash that must be signed: the client's word for it only if it is true.
    fn body_hash(&self, visit: &Visit<'_>) -> Result<String, Fault> {
        let real = sha256_hex(visit.body);
        match given(&visit.head.headers, "x-sdk-content-sha256") {
            None => Ok(real),
            Some(claimed) if claimed == real => Ok(real),
            Some(UNSIGNED) if self.config.unsigned_payload => Ok(UNSIGNED.to_owned()),
            Some(_) => Err(bad("X-Sdk-Content-Sha256 is not the body's")),
        }
    }

    fn huawei_params(&self, visit: &Visit<'_>) -> Result<Value, Fault> {
        let kind = header(&visit.head.headers, "content-type").unwrap_or_default().to_ascii_lowercase();
        let json = kind.is_empty() || kind.contains("json");
        if !json || visit.body.is_empty() || visit.head.headers.contains_key("content-encoding") {
            return Ok(Value::Object(Map::new()));
        }
        self.json_object(visit.body)
            .map_err(|why| Fault::new(400, "DIS.4200", format!("Invalid request. {why}")))
    }
}

pub(super) fn refusal(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::TooLarge => Fault::new(413, "APIGW.0201", "The request body is too large."),
        Refusal::TooSlow => Fault::new(408, "APIGW.0201", "The request body did not arrive in time."),
        Refusal::BrokenOff => Fault::new(400, "APIGW.0201", "The request body broke off."),
        Refusal::Busy => Fault::new(429, "APIGW.0308", "Too many large requests at once; try again later."),
    }
}

fn bad(why: &str) -> Fault {
    Fault::new(401, "APIGW.0301", format!("Incorrect IAM authentication information: {why}"))
}

/// What failed here, in the product's words.
pub(super) fn internal() -> Fault {
    Fault::new(500, "DIS.5000", "System error.")
}
