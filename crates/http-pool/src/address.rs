//! Where a server is, and whom to trust there.

use std::sync::Arc;

use http::Uri;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The address in the parts that are needed.
#[derive(Debug, Clone)]
pub struct Address {
    /// With TLS.
    pub secure: bool,
    /// Host name or IP, no brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// As it goes into the `Host` header: with the port unless it is the scheme's own.
    pub authority: String,
    /// The path without a slash at its end; empty where there is none.
    pub path: String,
}

impl Address {
    /// Reads `http://host[:port][/path]` or `https://…`.
    ///
    /// # Errors
    /// What is wrong with it, beginning with `url: `.
    pub fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|e| format!("url: {e}"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("url: must start with http:// or https://".to_owned()),
        };
        let Some(authority) = uri.authority() else { return Err("url: has no host".to_owned()) };
        if authority.as_str().contains('@') {
            return Err("url: must hold no credentials".to_owned());
        }
        if uri.query().is_some() {
            return Err("url: must have no query".to_owned());
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        let default = if secure { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        let name = authority.host();
        if name.is_empty() {
            return Err("url: has no host".to_owned());
        }
        let host = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let authority = if port == default { name.to_owned() } else { format!("{name}:{port}") };
        Ok(Self { secure, host, port, authority, path })
    }
}

/// Trust in the usual certificate authorities and in these (PEM).
///
/// # Errors
/// What is wrong with them, beginning with `ca: `.
pub fn tls_config(ca_pem: Option<&[u8]>) -> Result<Arc<rustls::ClientConfig>, String> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = ca_pem {
        let mut n = 0;
        for cert in CertificateDer::pem_slice_iter(pem) {
            let cert = cert.map_err(|e| format!("ca: {e}"))?;
            roots.add(cert).map_err(|e| format!("ca: {e}"))?;
            n += 1;
        }
        if n == 0 {
            return Err("ca: no certificate in it".to_owned());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("tls: {e}"))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
