//! A small client of our own server: the command line, the demo and the benches call the same signed
//! HTTP APIs that the clouds' SDKs call.

use std::sync::Arc;
use std::time::Duration;

use api::Secret;
use api::sign::{Acs3Request, Tc3Request};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use runtime::{Clock, Random, TaskKind};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

/// Largest answer that is read.
const MAX_ANSWER: usize = 64 << 20;
/// How long an answer may take: verifying a receipt reads a whole tree again.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// Why a call did not succeed.
#[derive(Debug)]
pub enum CallError {
    /// No answer, or not one of ours.
    Transport(String),
    /// The server refused it, in the vendor's words.
    Refused {
        /// The vendor's error code.
        code: String,
        /// Words.
        message: String,
    },
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transport(m) => f.write_str(m),
            Self::Refused { code, message } => write!(f, "{code}: {message}"),
        }
    }
}

impl std::error::Error for CallError {}

/// Where and as whom to call.
#[derive(Clone)]
pub struct Client {
    secure: bool,
    /// `host:port`, as the Host header has it.
    host: String,
    access_key: String,
    secret: Secret,
    clock: Clock,
    random: Random,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Client {
    /// A client of `url` (`http://host:port`) with a key pair.
    ///
    /// # Errors
    /// When the address is not one.
    pub fn new(url: &str, access_key: &str, secret: &str) -> Result<Self, String> {
        let (secure, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(format!("`{url}` must start with http:// or https://")),
        };
        let host = rest.trim_end_matches('/').to_owned();
        if host.is_empty() || host.contains('/') {
            return Err(format!("`{url}` must be scheme://host:port without a path"));
        }
        let tls = if secure { Some(client_tls()?) } else { None };
        Ok(Self {
            secure,
            host,
            access_key: access_key.to_owned(),
            secret: Secret::new(secret),
            clock: Clock::system(),
            random: Random::system(),
            tls,
        })
    }

    /// `http://host:port`
    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.host)
    }

    /// Calls a Tencent action (`service` cfs) with a JSON body; gives what is inside `Response`.
    pub async fn tencent(
        &self,
        service: &str,
        version: &str,
        action: &str,
        params: &Value,
    ) -> Result<Value, CallError> {
        let path = if service == "wharf" { format!("/wharf/v1/{action}") } else { "/".to_owned() };
        let body = params.to_string().into_bytes();
        let headers = api::sign::tc3(
            &Tc3Request {
                host: &self.host,
                service,
                version,
                action,
                region: Some("local"),
                body: &body,
                timestamp: self.clock.now().seconds(),
            },
            &self.access_key,
            &self.secret,
        );
        let (_, answer) = self.send("POST", &path, headers, body).await?;
        let mut answer: Value = serde_json::from_slice(&answer)
            .map_err(|_| CallError::Transport(format!("{} is not a wharf server", self.url())))?;
        let response = answer["Response"].take();
        match response.get("Error") {
            Some(e) => Err(refused(e)),
            None if response.is_object() => Ok(response),
            None => Err(CallError::Transport(format!("{} is not a wharf server", self.url()))),
        }
    }

    /// Calls an action of the operator's door.
    pub async fn operator(&self, action: &str, params: &Value) -> Result<Value, CallError> {
        self.tencent("wharf", "2026-11-22", action, params).await
    }

    /// Calls an Alibaba NAS action with flat parameters.
    pub async fn alibaba(&self, action: &str, params: &[(&str, &str)]) -> Result<Value, CallError> {
        let params: Vec<(String, String)> =
            params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let nonce = self.random.hex(32);
        let (path, headers) = api::sign::acs3(
            &Acs3Request {
                host: &self.host,
                version: "2017-06-26",
                action,
                params: &params,
                nonce: &nonce,
                timestamp: self.clock.now().seconds(),
            },
            &self.access_key,
            &self.secret,
        );
        let (status, answer) = self.send("POST", &path, headers, Vec::new()).await?;
        let answer: Value = serde_json::from_slice(&answer)
            .map_err(|_| CallError::Transport(format!("{} is not a wharf server", self.url())))?;
        if status == 200 { Ok(answer) } else { Err(refused(&answer)) }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Result<(u16, Bytes), CallError> {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| CallError::Transport(format!("the request can't be built: {e}")))?;
        match tokio::time::timeout(PATIENCE, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Transport(format!("no answer from {} in {PATIENCE:?}", self.url()))),
        }
    }

    async fn exchange(&self, request: http::Request<Full<Bytes>>) -> Result<(u16, Bytes), CallError> {
        let no_server = |e: std::io::Error| CallError::Transport(format!("can't reach {}: {e}", self.url()));
        let address = if self.host.contains(':') {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, if self.secure { 443 } else { 80 })
        };
        let socket = tokio::net::TcpStream::connect(&address).await.map_err(no_server)?;
        match &self.tls {
            None => self.over(socket, request).await,
            Some(tls) => {
                let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(h, _)| h).to_owned();
                let name = rustls::pki_types::ServerName::try_from(name)
                    .map_err(|e| CallError::Transport(format!("{}: {e}", self.host)))?;
                let stream = tokio_rustls::TlsConnector::from(tls.clone())
                    .connect(name, socket)
                    .await
                    .map_err(no_server)?;
                self.over(stream, request).await
            }
        }
    }

    async fn over<S>(&self, stream: S, request: http::Request<Full<Bytes>>) -> Result<(u16, Bytes), CallError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |e: hyper::Error| CallError::Transport(format!("{} broke off: {e}", self.url()));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let driver = runtime::spawn(TaskKind::DriveConnection, connection);
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|e| CallError::Transport(format!("{} broke off: {e}", self.url())))?;
        driver.abort();
        Ok((status, body.to_bytes()))
    }
}

fn refused(e: &Value) -> CallError {
    let text = |key: &str| e[key].as_str().unwrap_or("?").to_owned();
    CallError::Refused { code: text("Code"), message: text("Message") }
}

fn client_tls() -> Result<Arc<rustls::ClientConfig>, String> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // An own certificate authority, as curl and the AWS tools take it.
    if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
        use rustls::pki_types::pem::PemObject as _;
        let certificates = rustls::pki_types::CertificateDer::pem_file_iter(&file)
            .map_err(|e| format!("SSL_CERT_FILE: {e}"))?;
        for certificate in certificates.flatten() {
            roots.add(certificate).map_err(|e| format!("SSL_CERT_FILE: {e}"))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
