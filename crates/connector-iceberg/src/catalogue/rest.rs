//! The REST catalogue, over our own HTTP connections.
//!
//! Of the specification: `config` (its prefix), namespaces, loading, creating and committing tables. A token goes out as `Authorization:
//! Bearer`, or is fetched with `client_id` and a secret (`oauth2`). The server writes metadata files; data and manifests are written by us, with
//! the keys of the connection (vended credentials and remote signing are not used). 409 and 412 are conflicts; 500, 502, 503, 504 and an answer that
//! doesn't come leave open whether a commit was carried out.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector::records::Secret;
use connector::{Error, ErrorKind, Result};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use http_pool::{Address, Answer, Call, Pool, Remote, tls_config};
use iceberg::io::FileIO;
use iceberg::spec::TableMetadata;
use iceberg::table::Table;
use iceberg::{NamespaceIdent, TableIdent, TableRequirement, TableUpdate};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{Catalogue, Change, NewTable, Refusal, strange, table};

/// For the whole of an answer.
const WAIT: Duration = Duration::from_secs(60);
/// Table metadata are no longer than this.
const MAX_ANSWER: usize = 64 << 20;
/// What stays as it is in a segment of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// How the catalogue is told who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Login {
    pub(crate) client_id: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) secret: Option<Secret>,
}

/// See the module.
pub(crate) struct Rest {
    pool: Pool,
    login: Login,
    warehouse: String,
    io: FileIO,
    state: Mutex<State>,
}

#[derive(Default, Clone)]
struct State {
    /// What goes before `namespaces`; `None` before the catalogue was asked.
    prefix: Option<String>,
    token: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    defaults: HashMap<String, String>,
    #[serde(default)]
    overrides: HashMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Loaded {
    #[serde(default)]
    metadata_location: Option<String>,
    metadata: TableMetadata,
}

#[derive(Serialize)]
struct Commit<'a> {
    identifier: &'a TableIdent,
    requirements: &'a [TableRequirement],
    updates: &'a [TableUpdate],
}

impl Rest {
    pub(crate) fn new(
        uri: &str,
        ca_pem: Option<&str>,
        login: Login,
        warehouse: &str,
        io: FileIO,
    ) -> Result<Self> {
        let bad = |e: String| Error::new(ErrorKind::Unacceptable, e);
        let address = Address::parse(uri.trim_end_matches('/')).map_err(bad)?;
        let tls = address.secure.then(|| tls_config(ca_pem.map(str::as_bytes))).transpose().map_err(bad)?;
        let pool = Pool::new(Remote {
            address,
            tls,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            authorization: None,
        });
        Ok(Self { pool, login, warehouse: warehouse.to_owned(), io, state: Mutex::default() })
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn learn(&self, f: impl FnOnce(&mut State)) {
        f(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content: (&'static str, Bytes),
        token: Option<HeaderValue>,
    ) -> Result<Answer> {
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        if !content.1.is_empty() {
            headers.push((CONTENT_TYPE, HeaderValue::from_static(content.0)));
        }
        headers.extend(token.map(|t| (AUTHORIZATION, t)));
        let call = Call { method, path, headers: &headers, body: content.1, limit: MAX_ANSWER };
        match tokio::time::timeout(WAIT, self.pool.call(call)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(ErrorKind::Unavailable, "the catalogue gave no answer within 60 s")),
        }
    }

    /// The header that says who we are.
    async fn token(&self) -> Result<Option<HeaderValue>> {
        if let Some(token) = self.state().token {
            return Ok(Some(token));
        }
        let Some(secret) = &self.login.secret else { return Ok(None) };
        let word = match &self.login.client_id {
            None => secret.0.to_string(),
            Some(id) => self.fetch_token(id, secret).await?,
        };
        let mut value = HeaderValue::try_from(format!("Bearer {word}"))
            .map_err(|_| Error::new(ErrorKind::Denied, "the token has characters that no header takes"))?;
        value.set_sensitive(true);
        self.learn(|s| s.token = Some(value.clone()));
        Ok(Some(value))
    }

    async fn fetch_token(&self, id: &str, secret: &Secret) -> Result<String> {
        let text = |s: &str| utf8_percent_encode(s, PLAIN).to_string();
        let scope = self.login.scope.as_deref().unwrap_or("catalog");
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
            text(id),
            text(&secret.0),
            text(scope)
        );
        let form = ("application/x-www-form-urlencoded", Bytes::from(form));
        let answer = self.send(Method::POST, "/v1/oauth/tokens", form, None).await?;
        if !answer.is_success() {
            return Err(Error::new(
                ErrorKind::Denied,
                format!("the catalogue gives no token: {}", answer.status),
            ));
        }
        #[derive(Deserialize)]
        struct Token {
            access_token: String,
        }
        let token: Token = serde_json::from_slice(&answer.body)
            .map_err(|_| strange("the catalogue's token can't be read"))?;
        Ok(token.access_token)
    }

    async fn prefix(&self) -> Result<String> {
        if let Some(prefix) = self.state().prefix {
            return Ok(prefix);
        }
        let warehouse = utf8_percent_encode(&self.warehouse, PLAIN);
        let query = if self.warehouse.is_empty() { String::new() } else { format!("?warehouse={warehouse}") };
        let token = self.token().await?;
        let answer = self.send(Method::GET, &format!("/v1/config{query}"), NOTHING, token).await?;
        if !answer.is_success() {
            return Err(said("config", &answer));
        }
        let config: Config = serde_json::from_slice(&answer.body)
            .map_err(|_| strange("the catalogue's config can't be read"))?;
        let given = config.overrides.get("prefix").or(config.defaults.get("prefix"));
        let prefix = match given.map(|p| p.trim_matches('/')) {
            Some(p) if !p.is_empty() => {
                let segments: Vec<_> =
                    p.split('/').map(|s| utf8_percent_encode(s, PLAIN).to_string()).collect();
                format!("/v1/{}", segments.join("/"))
            }
            _ => "/v1".to_owned(),
        };
        self.learn(|s| s.prefix = Some(prefix.clone()));
        Ok(prefix)
    }

    /// Asks below the prefix; a token that is no longer taken is fetched once more.
    async fn ask(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Answer> {
        let path = format!("{}{path}", self.prefix().await?);
        let body = ("application/json", body.unwrap_or_default());
        let token = self.token().await?;
        let answer = self.send(method.clone(), &path, body.clone(), token).await?;
        if !matches!(answer.status, 401 | 419) || self.login.client_id.is_none() {
            return Ok(answer);
        }
        self.learn(|s| s.token = None);
        let token = self.token().await?;
        self.send(method, &path, body, token).await
    }

    fn loaded(&self, ident: &TableIdent, body: &[u8]) -> Result<Table> {
        let loaded: Loaded = serde_json::from_slice(body)
            .map_err(|e| strange(format!("the catalogue's answer can't be read: {e}")))?;
        let location = loaded.metadata_location.unwrap_or_default();
        table(ident, self.io.clone(), &location, loaded.metadata)
    }
}

const NOTHING: (&str, Bytes) = ("application/json", Bytes::new());

fn space(namespace: &NamespaceIdent) -> String {
    // Levels are told apart by the unit separator.
    utf8_percent_encode(&namespace.join("\u{1f}"), PLAIN).to_string()
}

fn one(ident: &TableIdent) -> String {
    format!("/namespaces/{}/tables/{}", space(ident.namespace()), utf8_percent_encode(ident.name(), PLAIN))
}

/// A refusal in words.
fn said(what: &str, answer: &Answer) -> Error {
    let kind = match answer.status {
        401 | 403 | 419 => ErrorKind::Denied,
        404 => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Changed,
        429 | 503 => ErrorKind::Throttled,
        500.. => ErrorKind::Unavailable,
        _ => ErrorKind::Unacceptable,
    };
    Error::new(kind, format!("{what}: the catalogue answered {} {}", answer.status, answer.words()))
}

fn json(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(value).map(Into::into).map_err(|e| strange(e.to_string()))
}

#[async_trait]
impl Catalogue for Rest {
    async fn has_namespace(&self, namespace: &NamespaceIdent) -> Result<bool> {
        let answer = self.ask(Method::GET, &format!("/namespaces/{}", space(namespace)), None).await?;
        match answer.status {
            200..300 => Ok(true),
            404 => Ok(false),
            _ => Err(said("namespace", &answer)),
        }
    }

    async fn create_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        let body = serde_json::json!({ "namespace": namespace.as_ref(), "properties": {} });
        let answer = self.ask(Method::POST, "/namespaces", Some(json(&body)?)).await?;
        if answer.is_success() || answer.status == 409 { Ok(()) } else { Err(said("namespace", &answer)) }
    }

    async fn load(&self, ident: &TableIdent) -> Result<Option<Table>> {
        let answer = self.ask(Method::GET, &one(ident), None).await?;
        match answer.status {
            200..300 => self.loaded(ident, &answer.body).map(Some),
            404 => Ok(None),
            _ => Err(said("load the table", &answer)),
        }
    }

    async fn create(&self, new: NewTable) -> Result<Table> {
        let body = serde_json::json!({
            "name": new.ident.name(),
            "schema": new.schema,
            "partition-spec": new.spec,
            "properties": new.properties,
            "stage-create": false,
        });
        let path = format!("/namespaces/{}/tables", space(new.ident.namespace()));
        let answer = self.ask(Method::POST, &path, Some(json(&body)?)).await?;
        match answer.status {
            200..300 => self.loaded(&new.ident, &answer.body),
            409 => {
                let found = self.load(&new.ident).await?;
                found.ok_or_else(|| strange(format!("{} is there and is not", new.ident)))
            }
            _ => Err(said("make the table", &answer)),
        }
    }

    async fn commit(&self, base: &Table, change: Change) -> Result<(), Refusal> {
        let Change { requirements, updates } = &change;
        let body = json(&Commit { identifier: base.identifier(), requirements, updates })
            .map_err(Refusal::Failed)?;
        let answer = match self.ask(Method::POST, &one(base.identifier()), Some(body)).await {
            Ok(answer) => answer,
            Err(e) => return Err(Refusal::Unknown(e)),
        };
        match answer.status {
            200..300 => Ok(()),
            409 | 412 => Err(Refusal::Conflict),
            500.. => Err(Refusal::Unknown(said("commit", &answer))),
            _ => Err(Refusal::Failed(said("commit", &answer))),
        }
    }
}
